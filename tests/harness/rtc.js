// A publisher and viewers in Chromium without a player: what the browser itself makes of a stream. Loaded into a blank page.
(() => {
  const CAPTURE = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

  function negotiate(transceiver) {
    const extensions = transceiver.getHeaderExtensionsToNegotiate();
    for (const one of extensions) if (one.uri === CAPTURE) one.direction = "sendrecv";
    transceiver.setHeaderExtensionsToNegotiate(extensions);
  }

  /** With `port` the connection takes the path that leads there, instead of the node's own candidates. */
  async function exchange(connection, url, munge, port) {
    const offer = await connection.createOffer();
    await connection.setLocalDescription({ type: "offer", sdp: munge ? munge(offer.sdp) : offer.sdp });
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: connection.localDescription.sdp,
    });
    let sdp = await response.text();
    if (!response.ok) throw new Error(`${response.status}: ${sdp}`);
    if (port) {
      sdp = sdp.replace(/a=candidate:\S+ \d tcp .*\r\n/gi, "").replace(/(a=candidate:.* )\d+( typ host)/g, `$1${port}$2`);
    }
    await connection.setRemoteDescription({ type: "answer", sdp });
    const location = new URL(response.headers.get("Location"), response.url).href;
    return { connection, location, offer: connection.localDescription.sdp, answer: sdp };
  }

  /** A moving picture of this size: a canvas that is drawn 25 times a second. Noise makes it worth its bits. */
  function picture(width, height, noise) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    const pen = canvas.getContext("2d");
    let count = 0;
    const draw = () => {
      pen.fillStyle = `hsl(${(count * 3) % 360} 60% 50%)`;
      pen.fillRect(0, 0, width, height);
      if (noise) {
        for (let index = 0; index < 400; index++) {
          pen.fillStyle = `hsl(${Math.random() * 360} 80% ${Math.random() * 100}%)`;
          pen.fillRect(Math.random() * width, Math.random() * height, width / 24, height / 24);
        }
      }
      pen.fillStyle = "white";
      pen.fillRect((count * 7) % width, height / 3, width / 10, height / 3);
      count += 1;
    };
    draw();
    setInterval(draw, 40);
    return canvas.captureStream(25).getVideoTracks()[0];
  }

  function tone() {
    const context = new AudioContext();
    const oscillator = context.createOscillator();
    const sink = context.createMediaStreamDestination();
    oscillator.connect(sink);
    oscillator.start();
    return sink.stream.getAudioTracks()[0];
  }

  const rtc = {
    sending: null,
    views: [],

    async publish(url, { codec = "H264", encodings, width = 640, height = 360, noise = false, audio = true, munge, port } = {}) {
      const connection = new RTCPeerConnection();
      const video = connection.addTransceiver(picture(width, height, noise), {
        direction: "sendonly",
        sendEncodings: encodings ?? [{}],
      });
      negotiate(video);
      const known = RTCRtpSender.getCapabilities("video").codecs;
      const wanted = known.filter((one) => one.mimeType === `video/${codec}`);
      video.setCodecPreferences([...wanted, ...known.filter((one) => one.mimeType === "video/rtx")]);
      const sound = audio ? tone() : null;
      if (sound) negotiate(connection.addTransceiver(sound, { direction: "sendonly" }));
      rtc.sending = await exchange(connection, url, munge && new Function("sdp", munge), port);
      rtc.sending.sound = sound;
      const parameters = video.sender.getParameters();
      parameters.degradationPreference = "maintain-resolution";
      await video.sender.setParameters(parameters);
      return rtc.sending.answer;
    },

    /** Stops without a word. */
    vanish() {
      rtc.sending.connection.close();
    },

    async watch(url, { munge, port } = {}) {
      const connection = new RTCPeerConnection();
      negotiate(connection.addTransceiver("video", { direction: "recvonly" }));
      negotiate(connection.addTransceiver("audio", { direction: "recvonly" }));
      const video = document.createElement("video");
      [video.autoplay, video.playsInline] = [true, true];
      const stream = new MediaStream();
      video.srcObject = stream;
      connection.addEventListener("track", ({ track }) => stream.addTrack(track));
      document.body.append(video);
      const view = { video, frames: 0, lastMs: 0, longestMs: 0, sizes: [] };
      const seen = (nowMs) => {
        if (view.frames > 0) view.longestMs = Math.max(view.longestMs, nowMs - view.lastMs);
        view.frames += 1;
        view.lastMs = nowMs;
        if (view.sizes.at(-1) !== video.videoHeight) view.sizes.push(video.videoHeight);
        video.requestVideoFrameCallback(seen);
      };
      video.requestVideoFrameCallback(seen);
      rtc.views.push(view);
      Object.assign(view, await exchange(connection, url, munge && new Function("sdp", munge), port));
      return view.answer;
    },

    async choose(index, layer) {
      const body = JSON.stringify(layer === null ? {} : { encodingId: layer });
      const url = `${rtc.views[index].location}/layer`;
      return (await fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body })).status;
    },

    /** Figures of a view's incoming video. */
    async incoming(index, kind = "video") {
      for (const entry of (await rtc.views[index].connection.getStats()).values())
        if (entry.type === "inbound-rtp" && entry.kind === kind) return { ...entry };
      return {};
    },

    /** Figures of what the publisher sends: one entry an encoding. */
    async outgoing() {
      const report = await rtc.sending.connection.getStats();
      return [...report.values()].filter((one) => one.type === "outbound-rtp" && one.kind === "video").map((one) => ({ ...one }));
    },

    /** What the publisher's congestion control thinks that its path carries, in bit/s; 0 before it has heard anything. */
    async estimateBps() {
      const report = await rtc.sending.connection.getStats();
      for (const entry of report.values())
        if (entry.type === "candidate-pair" && entry.nominated) return entry.availableOutgoingBitrate ?? 0;
      return 0;
    },

    async codecOf(index) {
      const report = await rtc.views[index].connection.getStats();
      for (const entry of report.values())
        if (entry.type === "inbound-rtp" && entry.kind === "video") return report.get(entry.codecId)?.mimeType;
    },

    /** Milliseconds since capture by the wall clock, of what a view plays now; null where nothing tells. */
    latencyMs(index, kind = "video") {
      const receivers = rtc.views[index].connection.getReceivers().filter(({ track }) => track.kind === kind);
      for (const source of receivers.flatMap((one) => one.getSynchronizationSources())) {
        if (source.captureTimestamp === undefined) continue;
        const shift = source.captureTimestamp > 2208988800000 ? 2208988800000 : 0;
        return Date.now() - (source.captureTimestamp - shift);
      }
      return null;
    },
  };
  window.rtc = rtc;
})();
