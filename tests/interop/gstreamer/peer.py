"""A WHIP publisher and a WHEP viewer on GStreamer's webrtcbin (libnice, its own DTLS, usrsctp): run by Debian's python3.

    peer.py publish --url URL [--video h264|vp8] [--size 320x240] [--pem FILE]
    peer.py watch   --url URL [--video h264|vp8] [--channel chat --say hello] [--pem FILE]

Prints one JSON object a line: `event` says which. Ends when stdin closes, with DELETE. Exit status 1: refused, failed or never connected.
`--pem` is a certificate with its key: GStreamer before 1.28 makes RSA ones, which the server does not take (docs/decisions.md).
Uses nothing but python3-gi and GStreamer, so that it runs outside of the project's environment.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import ssl
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402  # versions come first

ENCODE = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=50 bitrate=600"
    " ! video/x-h264,profile=constrained-baseline ! rtph264pay aggregate-mode=zero-latency config-interval=-1"
    " ! application/x-rtp,media=video,encoding-name=H264,payload=96",
    "vp8": "vp8enc deadline=1 cpu-used=8 keyframe-max-dist=50 target-bitrate=600000 ! rtpvp8pay picture-id-mode=15-bit"
    " ! application/x-rtp,media=video,encoding-name=VP8,payload=96",
}
DECODE = {
    "H264": "rtph264depay ! h264parse ! avdec_h264",
    "VP8": "rtpvp8depay ! vp8dec",
    "OPUS": "rtpopusdepay ! opusdec",
}
OFFERED = {
    "h264": "application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=96,packetization-mode=(string)1,"
    "profile-level-id=(string)42e01f,level-asymmetry-allowed=(string)1,rtcp-fb-nack-pli=(boolean)true",
    "vp8": "application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload=96,rtcp-fb-nack-pli=(boolean)true",
    "opus": "application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,encoding-params=(string)2,payload=97",
}


saying = threading.Lock()


def say(event, **more):
    """Prints a line; from any thread."""
    with saying:
        print(json.dumps({"event": event, **more}), flush=True)


def fingerprint(pem):
    """SHA-256 of the certificate in a PEM, as SDP writes it."""
    certificate = ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----BEGIN PRIVATE KEY")])
    return hashlib.sha256(certificate).digest().hex(":").upper()


class Peer:
    """One session. GStreamer calls back on its own threads; everything that ends the program goes through the main loop."""

    def __init__(self, url, pem):
        self.url, self.pem = url, pem
        self.resource = None
        self.loop = GLib.MainLoop()
        self.status = 0
        self.offered = False
        self.pipeline = None
        self.bin = None

    def run(self, pipeline):
        """Plays until stdin closes or the session fails."""
        self.pipeline = pipeline
        self.bin = pipeline.get_by_name("peer")
        self.bin.connect("notify::ice-gathering-state", self._gathered)
        self.bin.connect("notify::connection-state", self._connection)
        pipeline.connect("deep-element-added", self._added)
        bus = pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _bus, message: self.fail(str(message.parse_error())))
        self.prepare()
        pipeline.set_state(Gst.State.PLAYING)
        self.started()
        threading.Thread(target=self._until_stdin_closes, daemon=True).start()
        self.loop.run()
        pipeline.set_state(Gst.State.NULL)
        if self.resource:
            say("end", delete_status=self._delete())
        return self.status

    def prepare(self):
        """Before anything plays."""

    def started(self):
        """Once it plays."""

    def offer(self):
        """Makes the offer, posts it, applies the answer. Once a session."""
        if not self.offered:
            self.offered = True
            self.bin.emit("create-offer", None, Gst.Promise.new_with_change_func(self._made, None))

    def fail(self, reason):
        """Ends the program with status 1."""
        say("failed", reason=reason)
        self.status = 1
        self.loop.quit()

    def _until_stdin_closes(self):
        sys.stdin.read()
        GLib.idle_add(self.loop.quit)

    def _delete(self):
        request = urllib.request.Request(self.resource, method="DELETE")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            return refused.code

    def _added(self, _pipeline, _bin, element):
        factory = element.get_factory()  # None for webrtcbin's own parts
        if self.pem and factory and factory.get_name() == "dtlsdec":
            element.props.pem = self.pem

    def _made(self, promise, _data):
        reply = promise.get_reply()  # owns the offer: it must outlive the call
        self.bin.emit("set-local-description", reply.get_value("offer"), Gst.Promise.new())

    def _gathered(self, _bin, _property):
        if self.bin.props.ice_gathering_state == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self._post)

    def _post(self):
        sdp = self.bin.props.local_description.sdp.as_text()
        if self.pem:  # webrtcbin hashes all of a PEM that it is given, the key too
            sdp = re.sub(r"(?<=a=fingerprint:sha-256 )\S+", fingerprint(self.pem), sdp)
        request = urllib.request.Request(self.url, sdp.encode(), {"Content-Type": "application/sdp"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                self.resource = urllib.parse.urljoin(self.url, answer.headers["Location"])
                text = answer.read()
        except urllib.error.HTTPError as refused:
            self.fail(f"{refused.code} {refused.read().decode()}")
            return
        _, parsed = GstSdp.SDPMessage.new()
        GstSdp.sdp_message_parse_buffer(text, parsed)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, parsed)
        self.bin.emit("set-remote-description", description, Gst.Promise.new())

    def _connection(self, _bin, _property):
        state = self.bin.props.connection_state
        if state == GstWebRTC.WebRTCPeerConnectionState.CONNECTED:
            say("connected")
        elif state == GstWebRTC.WebRTCPeerConnectionState.FAILED:
            GLib.idle_add(self.fail, "the connection failed")


class Publisher(Peer):
    """Sends a ball that moves and a tone of 440 Hz."""

    def prepare(self):
        # comes once the encoders have said what they send
        self.bin.connect("on-negotiation-needed", lambda _bin: self.offer())
        for index in range(2):
            transceiver = self.bin.emit("get-transceiver", index)
            transceiver.props.direction = GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY


class Viewer(Peer):
    """Decodes what comes and says how much of it."""

    def __init__(self, url, pem, video, label, word):
        super().__init__(url, pem)
        self.video, self.label, self.word = video, label, word
        self.pictures = 0

    def prepare(self):
        for codec in (self.video, "opus"):
            self.bin.emit(
                "add-transceiver",
                GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY,
                Gst.Caps.from_string(OFFERED[codec]),
            )
        self.bin.connect("pad-added", self._pad_added)
        bus = self.pipeline.get_bus()
        bus.connect("message::element", self._element)
        # webrtcbin takes channels once it is ready, and has them in its offer
        self.pipeline.set_state(Gst.State.READY)
        if self.label:
            channel = self.bin.emit("create-data-channel", self.label, None)
            channel.connect(
                "on-open", lambda one: (say("open"), self.word and one.emit("send-string", self.word))
            )
            channel.connect("on-message-string", lambda _one, text: say("message", text=text))
            self.channel = channel

    def started(self):
        self.offer()  # not when webrtcbin finds it needed, which may be before it has the channel

    def _pad_added(self, _bin, pad):
        if pad.direction != Gst.PadDirection.SRC:
            return
        codec = pad.get_current_caps().get_structure(0).get_string("encoding-name")
        say("track", codec=codec)
        if codec == "OPUS":
            rest = "audioconvert ! level interval=200000000 ! fakesink sync=false"
        else:
            rest = "fakesink name=screen sync=false signal-handoffs=true"
        sink = Gst.parse_bin_from_description(f"queue ! {DECODE[codec]} ! {rest}", True)
        screen = sink.get_by_name("screen")
        if screen:
            screen.connect("handoff", self._picture)
        self.pipeline.add(sink)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))

    def _picture(self, _screen, buffer, pad):
        self.pictures += 1
        size = pad.get_current_caps().get_structure(0)
        sum_of_bytes = sum(buffer.extract_dup(0, buffer.get_size())[::7])
        say(
            "picture",
            count=self.pictures,
            width=size.get_value("width"),
            height=size.get_value("height"),
            sum=sum_of_bytes,
        )

    def _element(self, _bus, message):
        told = message.get_structure()
        if told.get_name() == "level":
            say("sound", rms_db=told.get_value("rms")[0])


def main():
    Gst.init(None)
    arguments = argparse.ArgumentParser()
    arguments.add_argument("what", choices=("publish", "watch"))
    arguments.add_argument("--url", required=True)
    arguments.add_argument("--video", choices=tuple(ENCODE), default="h264")
    arguments.add_argument("--size", default="320x240")
    arguments.add_argument("--channel")
    arguments.add_argument("--say")
    arguments.add_argument("--pem")
    wanted = arguments.parse_args()
    pem = pathlib.Path(wanted.pem).read_text() if wanted.pem else None
    if wanted.what == "watch":
        peer = Viewer(wanted.url, pem, wanted.video, wanted.channel, wanted.say)
        pipeline = Gst.Pipeline()
        webrtc = Gst.ElementFactory.make("webrtcbin", "peer")
        webrtc.props.bundle_policy = GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE
        pipeline.add(webrtc)
    else:
        width, height = wanted.size.split("x")
        peer = Publisher(wanted.url, pem)
        pipeline = Gst.parse_launch(
            "webrtcbin name=peer bundle-policy=max-bundle"
            f" videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width={width},height={height},framerate=25/1"
            f" ! {ENCODE[wanted.video]} ! peer."
            " audiotestsrc is-live=true freq=440 volume=0.5 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=2"
            " ! opusenc frame-size=20 ! rtpopuspay ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! peer."
        )
    status = peer.run(pipeline)
    os._exit(status)  # GStreamer's threads may still be about, and the interpreter's end would wait for them


if __name__ == "__main__":
    main()
