// A WHEP viewer, a WHIP publisher and a WHEP server on pion, an implementation that shares no code with ours.
//
//	pion watch   -url URL [-token T] [-seconds 5] [-viewers 1] [-apart 100ms] [-network udp4] [-device lo]
//	pion publish -url URL [-token T] [-seconds 0] -video film.h264 [-audio sound.ogg] [-fps 25]
//	pion serve   [-seconds 0] -video film.h264 -audio sound.ogg [-fps 25]
//
// Prints one JSON object a line: `event` says which, `ms` counts from the POST. Ends by itself after -seconds (0: when stdin
// closes), with DELETE. Exit status 1: the session was refused or never connected.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Fields of a line.
type fields map[string]any

var printing sync.Mutex

// say prints a line.
func say(event string, more fields) {
	line := fields{"event": event}
	for name, value := range more {
		line[name] = value
	}
	text, err := json.Marshal(line)
	if err != nil { // only strings and numbers are ever said
		panic(err)
	}
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(text))
}

// options are what both commands take.
type options struct {
	url     string
	token   string
	network string
	device  string
	time    time.Duration
}

// over is closed when the time is over.
func (o options) over() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if o.time > 0 {
			time.Sleep(o.time)
			return
		}
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	return done
}

func main() {
	usage := "usage: pion watch|publish|serve ... (-h after the command lists its options)"
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	var common options
	flags.StringVar(&common.url, "url", "", "WHEP or WHIP endpoint")
	flags.StringVar(&common.token, "token", "", "bearer token")
	flags.StringVar(&common.network, "network", "udp4", "udp4, udp6, tcp4 or tcp6")
	flags.StringVar(&common.device, "device", "", "use the addresses of this network device alone")
	seconds := flags.Float64("seconds", 0, "how long; 0: until stdin closes")
	var err error
	switch os.Args[1] {
	case "watch":
		viewers := flags.Int("viewers", 1, "how many")
		apart := flags.Duration("apart", 100*time.Millisecond, "time between two joins")
		_ = flags.Parse(os.Args[2:])
		common.time = time.Duration(*seconds * float64(time.Second))
		err = watch(common, *viewers, *apart)
	case "publish", "serve":
		video := flags.String("video", "", "H.264 in Annex B, repeated for ever")
		audio := flags.String("audio", "", "Opus in Ogg, 20 ms a packet, repeated for ever; `stamps`: packets that say when they were made")
		fps := flags.Float64("fps", 25, "pictures a second")
		_ = flags.Parse(os.Args[2:])
		common.time = time.Duration(*seconds * float64(time.Second))
		send := map[string]func(options, string, string, float64) error{"publish": publish, "serve": serve}[os.Args[1]]
		err = send(common, *video, *audio, *fps)
	default:
		err = fmt.Errorf("%s", usage)
	}
	if err != nil {
		say("failed", fields{"reason": err.Error()})
		os.Exit(1)
	}
}
