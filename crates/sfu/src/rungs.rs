//! The ladder of a track's layers: which are alive now, and what each of them takes.
use crate::packet::Layer;

/// One layer with its measured bitrate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rung {
    pub(crate) layer: Layer,
    /// Of payload.
    pub(crate) bps: u64,
}

/// At most three rungs, the cheapest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rungs {
    rungs: [Option<Rung>; Layer::MAX],
    len: usize,
}

impl Rungs {
    /// Adds a layer in its place; more than three are left out.
    pub(crate) fn push(&mut self, layer: Layer, bps: u64) {
        if self.len < Layer::MAX {
            self.rungs[self.len] = Some(Rung { layer, bps });
            self.len += 1;
            self.rungs[..self.len].sort_by_key(|rung| rung.map_or(u64::MAX, |rung| rung.bps));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn at(&self, index: usize) -> Option<Rung> {
        self.rungs.get(index).copied().flatten()
    }

    /// Where a layer stands.
    pub(crate) fn index_of(&self, layer: Layer) -> Option<usize> {
        self.rungs.iter().position(|rung| rung.is_some_and(|rung| rung.layer == layer))
    }

    /// Keeps the rungs up to `top`.
    pub(crate) fn up_to(mut self, top: usize) -> Rungs {
        self.len = self.len.min(top + 1);
        self.rungs[self.len..].fill(None);
        self
    }
}
