package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/webrtc/v4"
)

// session is one WHIP or WHEP session: its peer connection and its resource on the server.
type session struct {
	peer      *webrtc.PeerConnection
	options   options
	posted    time.Time
	resource  string
	connected chan struct{}
	failed    chan struct{}
}

// checkEvery is the time between two rounds of ICE checks. pion's 200 ms would be most of what a start takes.
const checkEvery = 20 * time.Millisecond

// intercept is webrtc.RegisterDefaultInterceptors, but asks for missing packets every 20 ms, as Chromium does, and not every 100 ms.
func intercept(media *webrtc.MediaEngine, registry *interceptor.Registry) error {
	generator, err := nack.NewGeneratorInterceptor(nack.GeneratorInterval(20 * time.Millisecond))
	if err != nil {
		return err
	}
	responder, err := nack.NewResponderInterceptor()
	if err != nil {
		return err
	}
	media.RegisterFeedback(webrtc.RTCPFeedback{Type: "nack"}, webrtc.RTPCodecTypeVideo)
	media.RegisterFeedback(webrtc.RTCPFeedback{Type: "nack", Parameter: "pli"}, webrtc.RTPCodecTypeVideo)
	registry.Add(responder)
	registry.Add(generator)
	if err := webrtc.ConfigureRTCPReports(registry); err != nil {
		return err
	}
	if err := webrtc.ConfigureSimulcastExtensionHeaders(media); err != nil {
		return err
	}
	return webrtc.ConfigureTWCCSender(media, registry)
}

// newPeer is a peer connection with pion's own defaults (NACK, RTX, reports, TWCC) that also uses loopback. With `device` it uses
// the addresses of that network device alone.
func newPeer(network, device string) (*webrtc.PeerConnection, error) {
	kinds := map[string]webrtc.NetworkType{
		"udp4": webrtc.NetworkTypeUDP4, "udp6": webrtc.NetworkTypeUDP6,
		"tcp4": webrtc.NetworkTypeTCP4, "tcp6": webrtc.NetworkTypeTCP6,
	}
	kind, known := kinds[network]
	if !known {
		return nil, fmt.Errorf("network %q is not one of udp4, udp6, tcp4, tcp6", network)
	}
	media, registry, settings := &webrtc.MediaEngine{}, &interceptor.Registry{}, webrtc.SettingEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		return nil, err
	}
	if err := intercept(media, registry); err != nil {
		return nil, err
	}
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetICETimeouts(5*time.Second, 25*time.Second, checkEvery)
	if device != "" {
		settings.SetInterfaceFilter(func(name string) bool { return name == device })
	}
	settings.SetNetworkTypes([]webrtc.NetworkType{kind})
	api := webrtc.NewAPI(
		webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings),
	)
	return api.NewPeerConnection(webrtc.Configuration{})
}

// open offers what `peer` has and applies the answer. Media may come before it returns.
func open(peer *webrtc.PeerConnection, options options, posted func(time.Time)) (*session, error) {
	s := &session{peer: peer, options: options, connected: make(chan struct{}), failed: make(chan struct{})}
	peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			closeOnce(s.connected)
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			closeOnce(s.failed)
		}
	})
	offer, err := peer.CreateOffer(nil)
	if err != nil {
		return nil, err
	}
	gathered := webrtc.GatheringCompletePromise(peer)
	if err := peer.SetLocalDescription(offer); err != nil {
		return nil, err
	}
	<-gathered
	s.posted = time.Now()
	posted(s.posted)
	status, location, answer, err := s.request(http.MethodPost, options.url, peer.LocalDescription().SDP)
	if err != nil {
		return nil, err
	}
	if status != http.StatusCreated {
		return nil, fmt.Errorf("POST %s: %d %s", options.url, status, answer)
	}
	s.resource = location
	return s, peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer})
}

// closeOnce closes a channel that only one goroutine at a time ever closes.
func closeOnce(channel chan struct{}) {
	select {
	case <-channel:
	default:
		close(channel)
	}
}

// request returns the status, the absolute Location and the body.
func (s *session) request(method, target, body string) (int, string, string, error) {
	request, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		return 0, "", "", err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/sdp")
	}
	if s.options.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.options.token)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return 0, "", "", err
	}
	location := ""
	if where := answer.Header.Get("Location"); where != "" {
		relative, err := url.Parse(where)
		if err != nil {
			return 0, "", "", fmt.Errorf("Location %q: %w", where, err)
		}
		location = answer.Request.URL.ResolveReference(relative).String()
	}
	return answer.StatusCode, location, string(text), nil
}

// end deletes the resource and closes the peer connection. Returns the DELETE's status.
func (s *session) end() int {
	status, _, _, err := s.request(http.MethodDelete, s.resource, "")
	if err != nil {
		status = 0
	}
	_ = s.peer.Close()
	return status
}
