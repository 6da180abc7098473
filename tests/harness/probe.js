// Runs in every page before its scripts: what a viewer would see and hear, measured from outside of the player.
(() => {
  const probe = {
    events: [],
    // Frames that the screen showed: time (ms), id of the video element that showed it, gap since the one before.
    frames: 0,
    worstGapMs: 0,
    lastFrameMs: null,
    samples: null,
  };
  window.probe = probe;

  for (const name of ["firstframe", "mode", "state", "error", "caption", "chat", "sound"])
    document.addEventListener(`avacast-${name}`, (event) => {
      const detail = JSON.parse(JSON.stringify(event.detail));
      probe.events.push({ name, atMs: performance.now(), wallMs: Date.now(), detail });
    });

  const player = () => document.querySelector("avacast-player");

  // Follows the picture on screen, whichever element shows it.
  let followed = null;
  const follow = () => {
    const video = player()?.video ?? null;
    if (video && video !== followed) {
      followed = video;
      const painted = () => {
        if (player()?.video !== video) return;
        const now = performance.now();
        if (probe.lastFrameMs !== null) probe.worstGapMs = Math.max(probe.worstGapMs, now - probe.lastFrameMs);
        probe.lastFrameMs = now;
        probe.frames += 1;
        if (probe.samples) sample(video, now);
        video.requestVideoFrameCallback(painted);
      };
      video.requestVideoFrameCallback(painted);
    }
    requestAnimationFrame(follow);
  };
  requestAnimationFrame(follow);

  // The gap that is still open counts too: a picture that stopped for good has no next frame.
  probe.gapMs = () =>
    Math.max(probe.worstGapMs, probe.lastFrameMs === null ? 0 : performance.now() - probe.lastFrameMs);
  probe.resetGap = () => {
    probe.worstGapMs = 0;
    probe.lastFrameMs = performance.now();
  };

  // For messages of failed tests.
  probe.videos = () =>
    [...(player()?.shadowRoot.querySelectorAll("video") ?? [])].map((video) => ({
      mode: video.srcObject ? "webrtc" : "hls",
      readyState: video.readyState,
      paused: video.paused,
      muted: video.muted,
      tracks: video.srcObject?.getTracks().map((track) => `${track.kind} ${track.muted ? "muted" : track.readyState}`),
      currentTime: video.currentTime,
      width: video.videoWidth,
      buffered: [...Array(video.buffered.length).keys()].map((i) => [video.buffered.start(i), video.buffered.end(i)]),
      error: video.error?.message ?? null,
    }));

  // Sound of the picture on screen, as root mean square of about 43 ms.
  let context = null;
  let ear = null;
  const listenTo = (video) => {
    if (ear?.video === video) return ear.analyser;
    context ??= new AudioContext();
    const stream = video.srcObject ?? video.captureStream();
    if (stream.getAudioTracks().length === 0) return null;
    const analyser = context.createAnalyser();
    analyser.fftSize = 2048;
    context.createMediaStreamSource(stream).connect(analyser);
    ear = { video, analyser, buffer: new Float32Array(2048) };
    return analyser;
  };
  probe.level = () => {
    const video = player()?.video;
    const analyser = video && listenTo(video);
    if (!analyser) return 0;
    analyser.getFloatTimeDomainData(ear.buffer);
    return Math.sqrt(ear.buffer.reduce((sum, value) => sum + value * value, 0) / ear.buffer.length);
  };

  // A part of the picture, by share of its width and height, as grey values of 48 x 24.
  const canvas = new OffscreenCanvas(48, 24);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const grey = (video, [x, y, width, height]) => {
    const w = video.videoWidth;
    const h = video.videoHeight;
    pen.drawImage(video, x * w, y * h, width * w, height * h, 0, 0, 48, 24);
    const { data } = pen.getImageData(0, 0, 48, 24);
    const values = new Uint8Array(48 * 24);
    for (let i = 0; i < values.length; i++)
      values[i] = (data[4 * i] * 3 + data[4 * i + 1] * 6 + data[4 * i + 2]) / 10;
    return values;
  };
  probe.grey = (area) => [...grey(player().video, area)];

  // From now on, one sample a frame: the sound, and how much each area changed since the frame before.
  probe.startSampling = (areas) => {
    probe.samples = [];
    probe.areas = areas;
    probe.before = {};
  };
  const sample = (video, now) => {
    const entry = { atMs: now, level: probe.level(), dark: {} };
    for (const [name, area] of Object.entries(probe.areas)) {
      const values = grey(video, area);
      const before = probe.before[name];
      let change = 0;
      if (before) for (let i = 0; i < values.length; i++) change += Math.abs(values[i] - before[i]);
      entry[name] = change / values.length;
      entry.dark[name] = 255 - values.reduce((sum, value) => sum + value, 0) / values.length;
      probe.before[name] = values;
    }
    probe.samples.push(entry);
  };
  probe.takeSamples = () => {
    const taken = probe.samples;
    probe.samples = null;
    return taken;
  };
})();
