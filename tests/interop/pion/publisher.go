package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
	"github.com/pion/webrtc/v4/pkg/media/h264reader"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"
	"golang.org/x/sys/unix"
)

// picture is one access unit in Annex B.
type picture struct {
	data []byte
	key  bool
}

// film reads a file of H.264 into pictures. Parameter sets and SEI belong to the picture after them.
func film(path string) ([]picture, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reader, err := h264reader.NewReader(file)
	if err != nil {
		return nil, err
	}
	var all []picture
	var now picture
	for {
		unit, err := reader.NextNAL()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		now.data = append(append(now.data, 0, 0, 0, 1), unit.Data...)
		switch unit.UnitType {
		case h264reader.NalUnitTypeCodedSliceIdr, h264reader.NalUnitTypeCodedSliceNonIdr:
			now.key = unit.UnitType == h264reader.NalUnitTypeCodedSliceIdr
			all = append(all, now)
			now = picture{}
		}
	}
	if len(all) == 0 || !all[0].key {
		return nil, fmt.Errorf("%s: must begin with a key frame", path)
	}
	return all, nil
}

// sounds gives the packet of each tick of 20 ms.
type sounds func(tick int) []byte

// stamp is a packet of 100 bytes that begins with AVCT and CLOCK_MONOTONIC (nanoseconds, big-endian): who shares our clock reads the
// way's time from it (crates/swarm's Meter).
func stamp(int) []byte {
	packet := make([]byte, 100)
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	binary.BigEndian.PutUint64(packet[copy(packet, "AVCT"):], uint64(now.Nano()))
	return packet
}

// sound reads an Ogg file's Opus packets, which repeat. Each page must hold one (as ffmpeg's -page_duration 20000 writes). The path
// `stamps` has no file.
func sound(path string) (sounds, error) {
	if path == "stamps" {
		return stamp, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reader, _, err := oggreader.NewWith(file)
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for {
		page, _, err := reader.ParseNextPage()
		if errors.Is(err, io.EOF) {
			return func(tick int) []byte { return all[tick%len(all)] }, nil
		}
		if err != nil {
			return nil, err
		}
		if len(page) < 8 || string(page[:8]) != "OpusTags" {
			all = append(all, page)
		}
	}
}

// publish sends the film and the sound until the time is over. Asked for a key frame it goes on at the film's next one.
func publish(options options, video, audio string, fps float64) error {
	over := options.over()
	pictures, err := film(video)
	if err != nil {
		return err
	}
	peer, err := newPeer(options.network, options.device)
	if err != nil {
		return err
	}
	defer peer.Close()
	var wanted wishes
	add := func(mime, name string) (*webrtc.TrackLocalStaticSample, error) {
		track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: mime}, name, "film")
		if err != nil {
			return nil, err
		}
		transceiver, err := peer.AddTransceiverFromTrack(
			track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly},
		)
		if err != nil {
			return nil, err
		}
		go wanted.listen(transceiver.Sender())
		return track, nil
	}
	var heard sounds
	var opus *webrtc.TrackLocalStaticSample
	if audio != "" {
		if heard, err = sound(audio); err != nil {
			return err
		}
		if opus, err = add(webrtc.MimeTypeOpus, "audio"); err != nil {
			return err
		}
	}
	h264, err := add(webrtc.MimeTypeH264, "video")
	if err != nil {
		return err
	}
	session, err := open(peer, options, func(time.Time) {})
	if err != nil {
		return err
	}
	select {
	case <-session.connected:
	case <-session.failed:
		return errors.New("never connected")
	case <-time.After(15 * time.Second):
		return errors.New("not connected within 15 s")
	}
	say("connected", fields{"ms": ms(time.Since(session.posted)), "pictures": len(pictures)})
	stop := make(chan struct{})
	if opus != nil {
		go hum(opus, heard, stop)
	}
	go show(h264, pictures, fps, &wanted, stop)
	reason := "the time is over"
	select {
	case <-over:
	case <-session.failed:
		reason = "the connection failed"
	}
	close(stop)
	say("end", fields{"reason": reason, "pictures": wanted.shown.Load(), "key_frame_wishes": wanted.count.Load(), "delete_status": session.end()})
	return nil
}

// wishes are those for key frames, from all who take a film, and what is done about them.
type wishes struct {
	asked atomic.Bool
	count atomic.Int64
	shown atomic.Int64
}

// listen counts a sender's wishes; the film goes on at its next key frame.
func (w *wishes) listen(sender *webrtc.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			switch packet.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				w.count.Add(1)
				w.asked.Store(true)
			}
		}
	}
}

// show sends the film, again and again, until `stop` is closed.
func show(track *webrtc.TrackLocalStaticSample, pictures []picture, fps float64, wanted *wishes, stop <-chan struct{}) {
	frame, at := time.Duration(float64(time.Second)/fps), 0
	every(frame, stop, func(int) {
		if wanted.asked.Swap(false) {
			for at++; !pictures[at%len(pictures)].key; at++ {
			}
		}
		_ = track.WriteSample(media.Sample{Data: pictures[at%len(pictures)].data, Duration: frame})
		at++
		wanted.shown.Add(1)
	})
}

// hum sends the sound, again and again, until `stop` is closed.
func hum(track *webrtc.TrackLocalStaticSample, heard sounds, stop <-chan struct{}) {
	const each = 20 * time.Millisecond
	every(each, stop, func(tick int) {
		_ = track.WriteSample(media.Sample{Data: heard(tick), Duration: each})
	})
}

// every calls `step` each `period` without drift until `stop` is closed.
func every(period time.Duration, stop <-chan struct{}, step func(tick int)) {
	began := time.Now()
	for tick := 0; ; tick++ {
		select {
		case <-stop:
			return
		case <-time.After(time.Until(began.Add(time.Duration(tick) * period))):
			step(tick)
		}
	}
}
