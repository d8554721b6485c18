//! What the SDK must not let an application write, and what the compiler says about it.

/// One file per mistake, with its message beside it. The messages are those of the compiler that
/// the build uses; `TRYBUILD=overwrite` renews them.
#[test]
fn mistakes_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
