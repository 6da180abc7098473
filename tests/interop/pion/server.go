package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/pion/webrtc/v4"
)

// server is a WHEP server of one film: the least that a foreign server does. It answers offers at any path, trickles nothing, and
// takes the first video and the first audio section of each.
type server struct {
	options  options
	h264     *webrtc.TrackLocalStaticSample
	opus     *webrtc.TrackLocalStaticSample
	wishes   wishes
	mutex    sync.Mutex
	sessions map[string]*webrtc.PeerConnection
	next     int
}

// serve serves the film by WHEP until the time is over; says its URL.
func serve(options options, video, audio string, fps float64) error {
	over := options.over()
	pictures, err := film(video)
	if err != nil {
		return err
	}
	heard, err := sound(audio)
	if err != nil {
		return err
	}
	s := &server{options: options, sessions: map[string]*webrtc.PeerConnection{}}
	if s.h264, err = webrtc.NewTrackLocalStaticSample(
		webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264}, "video", "film",
	); err != nil {
		return err
	}
	if s.opus, err = webrtc.NewTrackLocalStaticSample(
		webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "audio", "film",
	); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: s}
	go func() { _ = web.Serve(listener) }()
	say("serving", fields{"url": "http://" + listener.Addr().String() + "/whep"})
	stop := make(chan struct{})
	go hum(s.opus, heard, stop)
	go show(s.h264, pictures, fps, &s.wishes, stop)
	<-over
	close(stop)
	s.mutex.Lock()
	left := len(s.sessions)
	for _, peer := range s.sessions {
		_ = peer.Close()
	}
	s.mutex.Unlock()
	say("end", fields{"left": left, "key_frame_wishes": s.wishes.count.Load()})
	return web.Close()
}

func (s *server) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	switch request.Method {
	case http.MethodPost:
		body, err := io.ReadAll(io.LimitReader(request.Body, 1<<20))
		if err != nil {
			http.Error(writer, err.Error(), http.StatusBadRequest)
			return
		}
		session, answer, err := s.answer(string(body))
		if err != nil {
			http.Error(writer, err.Error(), http.StatusBadRequest)
			return
		}
		say("asked", fields{"query": request.URL.RawQuery, "hops": request.Header.Get("Avacast-Hops")})
		writer.Header().Set("Content-Type", "application/sdp")
		writer.Header().Set("Location", "sessions/"+session)
		writer.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(writer, answer)
	case http.MethodDelete:
		name := request.URL.Path[strings.LastIndex(request.URL.Path, "/")+1:]
		s.mutex.Lock()
		peer := s.sessions[name]
		delete(s.sessions, name)
		s.mutex.Unlock()
		if peer == nil {
			http.NotFound(writer, request)
			return
		}
		_ = peer.Close()
		say("deleted", fields{})
	default:
		writer.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// answer makes a session for an offer.
func (s *server) answer(offer string) (string, string, error) {
	peer, err := newPeer(s.options.network, s.options.device)
	if err != nil {
		return "", "", err
	}
	fail := func(err error) (string, string, error) {
		_ = peer.Close()
		return "", "", err
	}
	for _, track := range []webrtc.TrackLocal{s.h264, s.opus} {
		sender, err := peer.AddTrack(track)
		if err != nil {
			return fail(err)
		}
		go s.wishes.listen(sender)
	}
	if err := peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return fail(err)
	}
	answer, err := peer.CreateAnswer(nil)
	if err != nil {
		return fail(err)
	}
	gathered := webrtc.GatheringCompletePromise(peer)
	if err := peer.SetLocalDescription(answer); err != nil {
		return fail(err)
	}
	<-gathered
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.next++
	name := fmt.Sprint(s.next)
	s.sessions[name] = peer
	return name, peer.LocalDescription().SDP, nil
}
