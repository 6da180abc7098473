package main

import (
	"time"

	"github.com/pion/rtp"
)

// A picture that shows later than this after the one before is a freeze (WebRTC statistics: at least 150 ms more than usual).
const freezeAfter = 190 * time.Millisecond

// waitForRepair is how long a missing packet may still come before we go on at the next key frame (Chromium asks ten times, and
// for a key frame after three seconds).
const waitForRepair = time.Second

// freeze is a time without a new picture.
type freeze struct {
	at, duration time.Duration // since the POST
}

// gapAfter: more media than this between two pictures, or two audio packets, is a gap.
const gapAfter = 100 * time.Millisecond

// timeline is how far a track has come in media time, which is not wall time: a machine that is slow makes no gaps in it.
type timeline struct {
	clockRate uint32
	begun     bool
	last      uint32
	at        time.Duration // since the first
}

// move goes on to `stamp`. It returns the media time passed over, 0 for what is older than the last.
func (t *timeline) move(stamp uint32) time.Duration {
	if !t.begun {
		t.begun, t.last = true, stamp
		return 0
	}
	ticks := int32(stamp - t.last)
	if ticks <= 0 {
		return 0
	}
	step := time.Duration(ticks) * time.Second / time.Duration(t.clockRate)
	t.last = stamp
	t.at += step
	return step
}

// gap is media time that never came.
type gap struct {
	at, missing time.Duration
}

// pictures puts packets of H.264 into order and tells which pictures could be shown, and when. It shows a picture when all
// its packets and all those before it since a key frame are there. It has no clock: `now` counts from the POST.
type pictures struct {
	waiting   map[uint64]*rtp.Packet
	next      uint64 // the first that has not come; 0: no key frame yet
	newest    uint64
	stuck     time.Duration // since when `next` is missing; 0: it is not
	shownAt   time.Duration
	shown     int
	firstKey  time.Duration
	keyFrames int
	packets   int
	repaired  int
	lost      int
	freezes   []freeze
	media     timeline
	gaps      []gap
}

func newPictures() *pictures {
	return &pictures{waiting: map[uint64]*rtp.Packet{}, media: timeline{clockRate: 90000}}
}

// extend is the 64-bit number of a 16-bit sequence number near the newest.
func (p *pictures) extend(sequence uint16) uint64 {
	if p.newest == 0 {
		return 1<<32 | uint64(sequence)
	}
	return uint64(int64(p.newest) + int64(int16(sequence-uint16(p.newest))))
}

// startsKey tells whether a payload begins a key frame: parameter sets or an IDR slice, alone, aggregated or in fragments.
func startsKey(payload []byte) bool {
	if len(payload) < 2 {
		return false
	}
	switch payload[0] & 31 {
	case 5, 7:
		return true
	case 24:
		return len(payload) > 3 && (payload[3]&31 == 7 || payload[3]&31 == 5)
	case 28:
		return payload[1]&0x80 != 0 && (payload[1]&31 == 5 || payload[1]&31 == 7)
	}
	return false
}

// push takes a packet. It returns true when a key frame should be asked for.
func (p *pictures) push(now time.Duration, packet *rtp.Packet) bool {
	number := p.extend(packet.SequenceNumber)
	if _, twice := p.waiting[number]; twice || (p.next != 0 && number < p.next) {
		return false
	}
	p.packets++
	if number < p.newest {
		p.repaired++
	} else {
		p.newest = number
	}
	p.waiting[number] = packet
	if p.next != 0 {
		p.advance(now)
	}
	if p.next == 0 || (p.stuck != 0 && now-p.stuck > waitForRepair) {
		p.jump(now)
	}
	for number := range p.waiting {
		if number+2000 < p.newest {
			delete(p.waiting, number)
		}
	}
	return p.stuck != 0 && now-p.stuck > waitForRepair
}

// advance shows what is complete from `next` on.
func (p *pictures) advance(now time.Duration) {
	before := p.next
	for packet := p.waiting[p.next]; packet != nil; packet = p.waiting[p.next] {
		delete(p.waiting, p.next)
		p.next++
		if packet.Marker {
			p.show(now, packet.Timestamp)
		}
	}
	if len(p.waiting) == 0 {
		p.stuck = 0
	} else if p.stuck == 0 || p.next != before {
		p.stuck = now // another packet is awaited
	}
}

// jump goes on at the newest key frame that is complete.
func (p *pictures) jump(now time.Duration) {
	for number := p.newest; number > p.next && p.newest-number < 2000; number-- {
		packet := p.waiting[number]
		if packet == nil || !startsKey(packet.Payload) {
			continue
		}
		if before := p.waiting[number-1]; before != nil && before.Timestamp == packet.Timestamp {
			continue // the middle of a key frame: its parameter sets come first
		}
		for end := number; p.waiting[end] != nil; end++ {
			if p.waiting[end].Timestamp != packet.Timestamp {
				break
			}
			if p.waiting[end].Marker {
				p.lose(number)
				p.next, p.stuck = number, 0
				p.keyFrames++
				p.advance(now)
				return
			}
		}
	}
}

// lose forgets what came before `number` and counts what never came.
func (p *pictures) lose(number uint64) {
	if p.next != 0 {
		for missing := p.next; missing < number; missing++ {
			if p.waiting[missing] == nil {
				p.lost++
			}
		}
	}
	for old := range p.waiting {
		if old < number {
			delete(p.waiting, old)
		}
	}
}

func (p *pictures) show(now time.Duration, stamp uint32) {
	if step := p.media.move(stamp); step > gapAfter {
		p.gaps = append(p.gaps, gap{p.media.at, step})
	}
	if p.shown == 0 {
		p.firstKey = now
	} else if now-p.shownAt > freezeAfter {
		p.freezes = append(p.freezes, freeze{p.shownAt, now - p.shownAt})
	}
	p.shown++
	p.shownAt = now
}
