package main

import (
	"errors"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// viewer is one WHEP viewer and its books.
type viewer struct {
	mutex        sync.Mutex
	number       int
	posted       time.Time
	firstPacket  time.Duration
	pictures     *pictures
	audio        int
	audioAt      time.Duration
	audioFreezes []freeze
	audioMedia   timeline
	reported     int // freezes already said
	reportedGaps int
}

// watch lets `count` viewers join, `apart` from each other.
func watch(options options, count int, apart time.Duration) error {
	over := options.over()
	var all sync.WaitGroup
	failures := make(chan error, count)
	for number := range count {
		all.Add(1)
		go func() {
			defer all.Done()
			if err := (&viewer{number: number, pictures: newPictures(), audioMedia: timeline{clockRate: 48000}}).run(options, over); err != nil {
				failures <- err
			}
		}()
		if number+1 < count {
			time.Sleep(apart)
		}
	}
	all.Wait()
	close(failures)
	return <-failures // nil when there is none
}

func (v *viewer) run(options options, over <-chan struct{}) error {
	peer, err := newPeer(options.network, options.device)
	if err != nil {
		return err
	}
	defer peer.Close()
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		receive := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := peer.AddTransceiverFromKind(kind, receive); err != nil {
			return err
		}
	}
	peer.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		say("track", fields{"viewer": v.number, "kind": track.Kind().String(), "codec": track.Codec().MimeType})
		v.read(peer, track)
	})
	session, err := open(peer, options, func(at time.Time) { v.posted = at })
	if err != nil {
		return err
	}
	answered := time.Since(session.posted)
	select {
	case <-session.connected:
	case <-session.failed:
		return errors.New("never connected")
	case <-time.After(15 * time.Second):
		return errors.New("not connected within 15 s")
	}
	say("connected", fields{"viewer": v.number, "answer_ms": ms(answered), "ms": ms(time.Since(session.posted))})
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			v.report("second", nil)
		case <-session.failed:
			v.report("end", fields{"closed": "the connection failed"})
			return nil
		case <-over:
			v.report("end", fields{"delete_status": session.end()})
			return nil
		}
	}
}

// read takes a track's packets until it ends.
func (v *viewer) read(peer *webrtc.PeerConnection, track *webrtc.TrackRemote) {
	var asked time.Time
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		v.mutex.Lock()
		now := time.Since(v.posted)
		if v.firstPacket == 0 {
			v.firstPacket = now
			say("first_packet", fields{"viewer": v.number, "ms": ms(now)})
		}
		if track.Kind() == webrtc.RTPCodecTypeAudio {
			if v.audio > 0 && now-v.audioAt > freezeAfter {
				v.audioFreezes = append(v.audioFreezes, freeze{v.audioAt, now - v.audioAt})
			}
			if step := v.audioMedia.move(packet.Timestamp); step > gapAfter {
				v.sayGap("audio", gap{v.audioMedia.at, step})
			}
			v.audio++
			v.audioAt = now
			v.mutex.Unlock()
			continue
		}
		before := v.pictures.shown
		ask := v.pictures.push(now, packet)
		if before == 0 && v.pictures.shown > 0 {
			say("first_key_frame", fields{"viewer": v.number, "ms": ms(v.pictures.firstKey)})
		}
		for ; v.reported < len(v.pictures.freezes); v.reported++ {
			one := v.pictures.freezes[v.reported]
			say("freeze", fields{"viewer": v.number, "ms": ms(one.at), "duration_ms": ms(one.duration)})
		}
		for ; v.reportedGaps < len(v.pictures.gaps); v.reportedGaps++ {
			v.sayGap("video", v.pictures.gaps[v.reportedGaps])
		}
		v.mutex.Unlock()
		if ask && time.Since(asked) > 500*time.Millisecond {
			asked = time.Now()
			_ = peer.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(track.SSRC())}})
		}
	}
}

// sayGap tells of media that never came; `at_ms` is the track's media time after it.
func (v *viewer) sayGap(kind string, one gap) {
	say("gap", fields{"viewer": v.number, "kind": kind, "at_ms": ms(one.at), "missing_ms": ms(one.missing)})
}

// report says the books so far.
func (v *viewer) report(event string, more fields) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	line := fields{
		"viewer": v.number, "ms": ms(time.Since(v.posted)), "first_packet_ms": ms(v.firstPacket),
		"first_key_frame_ms": ms(v.pictures.firstKey), "video_packets": v.pictures.packets, "audio_packets": v.audio,
		"pictures": v.pictures.shown, "repaired": v.pictures.repaired, "lost": v.pictures.lost,
		"freezes": len(v.pictures.freezes), "freeze_ms": ms(total(v.pictures.freezes)),
		"video_media_ms": ms(v.pictures.media.at), "audio_media_ms": ms(v.audioMedia.at),
		"audio_freezes": len(v.audioFreezes), "audio_freeze_ms": ms(total(v.audioFreezes)),
		"last_picture_ms": ms(v.pictures.shownAt), "last_audio_ms": ms(v.audioAt),
	}
	for name, value := range more {
		line[name] = value
	}
	say(event, line)
}

func total(freezes []freeze) (sum time.Duration) {
	for _, one := range freezes {
		sum += one.duration
	}
	return sum
}

// ms is a time in milliseconds with three decimals.
func ms(time time.Duration) float64 { return float64(time.Microseconds()) / 1000 }
