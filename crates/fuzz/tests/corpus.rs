//! The kept corpus, replayed: what once led the search to new code still does no harm.
use std::fs;
use std::path::Path;

#[test]
fn the_corpus_does_no_harm() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for &(name, target) in fuzz::PARSERS.iter().chain(&fuzz::SESSIONS) {
        let file = folder.join(name).with_extension("bin");
        let archive = fs::read(&file).unwrap_or_else(|cause| panic!("{}: {cause}", file.display()));
        let inputs: Vec<Vec<u8>> = fuzz::inputs(&archive).map(<[u8]>::to_vec).collect();
        assert_eq!(inputs.iter().map(|input| input.len() + 4).sum::<usize>(), archive.len(), "{name} is cut short");
        assert!(inputs.len() >= 3, "{name} has {} inputs", inputs.len());
        for (number, input) in inputs.into_iter().enumerate() {
            // A thread of its own: a fresh session, and a panic that names its input.
            let ended = std::thread::spawn(move || target(&input)).join();
            assert!(ended.is_ok(), "input {number} of {name} does harm");
        }
    }
}
