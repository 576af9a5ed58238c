//! Transcripts of the command line: what it says and how it ends, on any host.

#[test]
fn transcripts() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd").run();
}
