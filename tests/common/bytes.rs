//! Bytes of responses: made, and compared.

/// Bytes that reveal a shift by any distance below 99,991: a block without a period, repeated.
pub(crate) fn pattern(count: usize) -> Vec<u8> {
    let scatter = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0];
    let block: Vec<u8> = (0..99_991).map(scatter).collect();
    let mut bytes = block.repeat(count.div_ceil(block.len()));
    bytes.truncate(count);
    bytes
}

/// Asserts equality; the message has the lengths and the first difference, not the bytes.
pub(crate) fn assert_same_bytes(actual: &[u8], expected: &[u8]) {
    if actual != expected {
        let differ = actual.iter().zip(expected).position(|(a, b)| a != b);
        let (got, wanted) = (actual.len(), expected.len());
        panic!("{got} bytes instead of {wanted}, the first that differs: {differ:?}");
    }
}
