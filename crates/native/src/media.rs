//! `common._native.Sfu`: the node for Python. Every method lets other Python threads run while it waits for a worker.
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use node::train::Rung;
use node::{Event, Node, NodeConfig, NodeError, TapQueue};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use sfu::{Codec, Kind, Layer, LayerWish, PlayoutDelay, StreamDescription, SubscriberConfig, Trickle};

use crate::error::python_error;
use crate::figures::{Figures, kind_name, snapshot};

/// One media core.
#[pyclass(frozen, module = "common._native")]
pub(crate) struct Sfu {
    node: Node,
}

/// What an offer is answered with.
#[pyclass(frozen, get_all, module = "common._native")]
pub(crate) struct Answer {
    session: String,
    sdp: String,
    etag: String,
}

fn playout_delay(limits_ms: Option<(u32, u32)>) -> PyResult<Option<PlayoutDelay>> {
    let Some((min, max)) = limits_ms else { return Ok(None) };
    let delay = PlayoutDelay { min: Duration::from_millis(min.into()), max: Duration::from_millis(max.into()) };
    if min > max || delay.max > PlayoutDelay::LONGEST {
        let longest = PlayoutDelay::LONGEST.as_millis();
        return Err(PyValueError::new_err(format!("a playout delay is from 0 to {longest} ms, the least first")));
    }
    Ok(Some(delay))
}

fn address(text: &str, what: &str) -> PyResult<IpAddr> {
    text.parse().map_err(|_| PyValueError::new_err(format!("{what} must be an IP address, not {text:?}")))
}

impl Sfu {
    /// Runs `work` without the interpreter's lock.
    fn run<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&Node) -> Result<T, NodeError> + Send) -> PyResult<T> {
        let result = py.detach(|| work(&self.node));
        result.map_err(|error| python_error(py, &error))
    }
}

/// A message: a `str` is sent as text, `bytes` as binary.
fn message(data: &Bound<'_, PyAny>) -> PyResult<(bool, Vec<u8>)> {
    if let Ok(text) = data.extract::<String>() {
        return Ok((true, text.into_bytes()));
    }
    Ok((false, data.extract::<Vec<u8>>()?))
}

fn answer((session, answer): (Arc<str>, sfu::Answer)) -> Answer {
    Answer { session: session.to_string(), sdp: answer.sdp, etag: answer.etag }
}

#[pymethods]
impl Sfu {
    #[new]
    #[allow(clippy::too_many_arguments)] // keywords, in Python
    #[pyo3(signature = (*, host = "0.0.0.0", port = 0, workers = 0, public_addresses = vec![], send = "auto", max_subscribers = 10_000, max_unused = 2_000, playout_delay_ms = None))]
    fn new(
        py: Python<'_>,
        host: &str,
        port: u16,
        workers: usize,
        public_addresses: Vec<String>,
        send: &str,
        max_subscribers: usize,
        max_unused: usize,
        playout_delay_ms: Option<(u32, u32)>,
    ) -> PyResult<Sfu> {
        let mut public = Vec::with_capacity(public_addresses.len());
        for text in &public_addresses {
            public.push(address(text, "a public address")?);
        }
        let config = NodeConfig {
            host: address(host, "host")?,
            port,
            workers,
            public_addresses: public,
            send: send.parse::<Rung>().map_err(PyValueError::new_err)?,
            max_subscribers,
            max_unused,
            subscriber: SubscriberConfig { playout_delay: playout_delay(playout_delay_ms)?, ..Default::default() },
            ..NodeConfig::default()
        };
        let node = py.detach(|| Node::start(config)).map_err(|error| python_error(py, &error))?;
        Ok(Sfu { node })
    }

    #[getter]
    fn port(&self) -> u16 {
        self.node.local().port()
    }

    #[getter]
    fn fd(&self) -> i32 {
        self.node.events().fd()
    }

    #[getter]
    fn subscribers(&self) -> usize {
        self.node.subscribers()
    }

    fn publish(&self, py: Python<'_>, stream: &str, offer: String) -> PyResult<Answer> {
        self.run(py, |node| node.publish(stream, offer)).map(answer)
    }

    #[pyo3(signature = (stream, offer, *, layers_all = false))]
    fn subscribe(&self, py: Python<'_>, stream: &str, offer: String, layers_all: bool) -> PyResult<Answer> {
        self.run(py, |node| node.subscribe(stream, offer, layers_all)).map(answer)
    }

    fn offer(&self, py: Python<'_>, stream: &str) -> PyResult<Answer> {
        self.run(py, |node| node.offer(stream)).map(answer)
    }

    #[pyo3(signature = (stream, *, labels = vec![]))]
    fn pull(&self, py: Python<'_>, stream: &str, labels: Vec<String>) -> PyResult<Answer> {
        self.run(py, |node| node.pull(stream, labels)).map(answer)
    }

    #[pyo3(signature = (stream, label, data, *, without = None))]
    fn tell(
        &self,
        py: Python<'_>,
        stream: &str,
        label: &str,
        data: &Bound<'_, PyAny>,
        without: Option<&str>,
    ) -> PyResult<()> {
        let (text, bytes) = message(data)?;
        self.run(py, |node| node.tell(stream, label, text, &bytes, without))
    }

    fn tell_session(&self, py: Python<'_>, session: &str, label: &str, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let (text, bytes) = message(data)?;
        self.run(py, |node| node.tell_session(session, label, text, &bytes))
    }

    fn accept(&self, py: Python<'_>, session: &str, answer: String) -> PyResult<()> {
        self.run(py, |node| node.accept(session, answer))
    }

    fn trickle(&self, py: Python<'_>, session: &str, fragment: String) -> PyResult<Option<(String, String)>> {
        Ok(match self.run(py, |node| node.trickle(session, fragment))? {
            Trickle::Taken => None,
            Trickle::Restarted { fragment, etag } => Some((fragment, etag)),
        })
    }

    #[pyo3(signature = (session, layer))]
    fn choose(&self, py: Python<'_>, session: &str, layer: Option<u8>) -> PyResult<()> {
        let wish = layer.map_or(LayerWish::Auto, |layer| LayerWish::Most(Layer(layer)));
        self.run(py, |node| node.choose(session, wish))
    }

    fn close(&self, py: Python<'_>, session: &str) -> PyResult<bool> {
        self.run(py, |node| node.close(session))
    }

    #[pyo3(signature = (stream, *, video, audio))]
    fn open(&self, py: Python<'_>, stream: &str, video: bool, audio: bool) -> PyResult<()> {
        if !video && !audio {
            return Err(PyValueError::new_err("a stream needs video, audio or both"));
        }
        self.run(py, |node| node.open(stream, StreamDescription::h264_opus(video, audio)))
    }

    fn inject(
        &self,
        py: Python<'_>,
        stream: &str,
        kind: &str,
        access_unit: Vec<u8>,
        rtp_time: u32,
        key_frame: bool,
    ) -> PyResult<()> {
        let kind = match kind {
            "video" => Kind::Video,
            "audio" => Kind::Audio,
            other => return Err(PyValueError::new_err(format!("kind must be video or audio, not {other:?}"))),
        };
        self.run(py, |node| node.inject(stream, kind, access_unit, rtp_time, key_frame))
    }

    fn end(&self, py: Python<'_>, stream: &str) -> PyResult<()> {
        self.run(py, |node| node.end(stream))
    }

    fn tap(&self, py: Python<'_>, stream: &str) -> PyResult<Tap> {
        Ok(Tap { queue: self.run(py, |node| node.tap(stream))? })
    }

    fn request_key_frame(&self, py: Python<'_>, stream: &str) -> PyResult<()> {
        self.run(py, |node| node.request_key_frame(stream))
    }

    #[pyo3(signature = (*, sessions = false))]
    fn stats(&self, py: Python<'_>, sessions: bool) -> Figures {
        py.detach(|| snapshot(&self.node, sessions))
    }

    fn drain_events<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let events = py.detach(|| self.node.drain_events());
        events.into_iter().map(|event| event_dict(py, event)).collect()
    }

    fn shutdown(&self, py: Python<'_>) {
        py.detach(|| self.node.shutdown());
    }
}

fn event_dict(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    let name = match event {
        Event::SessionConnected { session, stream } => {
            dict.set_item("session", session)?;
            dict.set_item("stream", stream)?;
            "session_connected"
        }
        Event::SessionClosed { session, stream, reason } => {
            dict.set_item("session", session)?;
            dict.set_item("stream", stream)?;
            dict.set_item("reason", reason)?;
            "session_closed"
        }
        Event::LayerChanged { session, stream, layer } => {
            dict.set_item("session", session)?;
            dict.set_item("stream", stream)?;
            dict.set_item("layer", layer.map(|layer| layer.0))?;
            "layer_changed"
        }
        Event::LayersChanged { stream } => {
            dict.set_item("stream", stream)?;
            "layers_changed"
        }
        Event::StreamStarted { stream, session } => {
            dict.set_item("stream", stream)?;
            dict.set_item("session", session)?;
            "stream_started"
        }
        Event::StreamEnded { stream, reason } => {
            dict.set_item("stream", stream)?;
            dict.set_item("reason", reason)?;
            "stream_ended"
        }
        Event::StreamSilent { stream, session } => {
            dict.set_item("stream", stream)?;
            dict.set_item("session", session)?;
            "stream_silent"
        }
        Event::StreamResumed { stream, session } => {
            dict.set_item("stream", stream)?;
            dict.set_item("session", session)?;
            "stream_resumed"
        }
        Event::KeyFrameWanted { stream } => {
            dict.set_item("stream", stream)?;
            "key_frame_wanted"
        }
        Event::ChannelOpened { session, stream, label } => {
            dict.set_item("session", &*session)?;
            dict.set_item("stream", &*stream)?;
            dict.set_item("label", &*label)?;
            "channel_opened"
        }
        Event::ChannelClosed { session, stream, label, why } => {
            dict.set_item("session", &*session)?;
            dict.set_item("stream", &*stream)?;
            dict.set_item("label", &*label)?;
            dict.set_item("reason", why.code())?;
            "channel_closed"
        }
        Event::Message { session, stream, label, text, bytes } => {
            dict.set_item("session", &*session)?;
            dict.set_item("stream", &*stream)?;
            dict.set_item("label", &*label)?;
            // what calls itself text and is none is handed on as the bytes that it is
            match std::str::from_utf8(&bytes) {
                Ok(words) if text => dict.set_item("data", words)?,
                _ => dict.set_item("data", PyBytes::new(py, &bytes))?,
            }
            "message"
        }
        Event::SendRung(refused) => {
            dict.set_item("reason", format!("{} refused by the kernel: {}", refused.refused.name(), refused.reason))?;
            dict.set_item("send", refused.now.name())?;
            "send_rung"
        }
    };
    dict.set_item("type", name)?;
    Ok(dict)
}

/// A reader of access units.
#[pyclass(frozen, module = "common._native")]
pub(crate) struct Tap {
    queue: Arc<TapQueue>,
}

#[pymethods]
impl Tap {
    #[getter]
    fn fd(&self) -> i32 {
        self.queue.fd()
    }

    #[getter]
    fn closed(&self) -> bool {
        self.queue.is_closed()
    }

    #[getter]
    fn dropped(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.queue.dropped())
    }

    fn drain(&self, py: Python<'_>) -> Vec<AccessUnit> {
        let units = py.detach(|| self.queue.drain());
        units.into_iter().map(|unit| AccessUnit::new(py, unit)).collect()
    }

    fn close(&self) {
        self.queue.close();
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// One frame of video or packet of audio.
#[pyclass(frozen, get_all, module = "common._native")]
pub(crate) struct AccessUnit {
    kind: &'static str,
    layer: u8,
    codec: &'static str,
    time: u64,
    clock_rate: u32,
    ntp_ms: u64,
    key_frame: bool,
    data: Py<PyBytes>,
    lost_before: bool,
}

impl AccessUnit {
    fn new(py: Python<'_>, unit: sfu::AccessUnit) -> AccessUnit {
        AccessUnit {
            kind: kind_name(unit.kind),
            layer: unit.layer.0,
            codec: match unit.codec {
                Codec::H264 => "h264",
                Codec::Vp8 => "vp8",
                Codec::Vp9 => "vp9",
                Codec::Av1 => "av1",
                Codec::Opus => "opus",
            },
            time: unit.time.ticks,
            clock_rate: unit.time.clock_rate,
            ntp_ms: unit.ntp_ms,
            key_frame: unit.key_frame,
            data: PyBytes::new(py, &unit.data).unbind(),
            lost_before: unit.lost_before,
        }
    }
}
