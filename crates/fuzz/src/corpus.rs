//! The kept inputs of an entry point: one file, `corpus/<name>.bin`, each input behind its length (32 bits, big-endian).
//! `tests/fuzz.py --keep` writes it.

/// The inputs of such a file. Ends early where the file does.
pub fn inputs(mut file: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = file.split_first_chunk()?;
        let (input, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        file = rest;
        Some(input)
    })
}
