//! The Python module `common._native`. Python decides, Rust moves bytes: a handful of coarse calls, and never a callback for
//! each packet. The types as Python sees them, with their docs, are in `common/_native.pyi`.
mod edge;
mod error;
mod figures;
mod media;
mod swarm;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::edge::Edge;
    #[pymodule_export]
    use crate::error::{BadSdp, Full, SessionUnknown, SfuError, StreamUnknown};
    #[pymodule_export]
    use crate::media::{AccessUnit, Answer, Sfu, Tap};
    #[pymodule_export]
    use crate::swarm::{Swarm, kernel_limit};
}
