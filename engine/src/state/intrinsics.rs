//! Instructions of the processor that the language has no words for: pure, and they never fault.
#![allow(unsafe_code)]

/// Asks the processor to bring the line at `address` into its nearest cache. A hint only: any
/// address is allowed.
#[inline(always)]
pub fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: PREFETCHT0 reads nothing and faults on no address (Intel SDM, PREFETCHh).
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Bit `i` of the result is set if `words[i]` is `word`.
#[inline(always)]
pub(super) fn equal_bits(words: &[u32; 8], word: u32) -> u32 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 is part of x86-64; the loads may be unaligned and stay inside the array.
    unsafe {
        use std::arch::x86_64::{
            __m128i, _mm_cmpeq_epi32, _mm_loadu_si128, _mm_movemask_epi8, _mm_packs_epi16,
            _mm_packs_epi32, _mm_set1_epi32,
        };
        let word = _mm_set1_epi32(word.cast_signed());
        let halves = words.as_ptr().cast::<__m128i>();
        let low = _mm_cmpeq_epi32(_mm_loadu_si128(halves), word);
        let high = _mm_cmpeq_epi32(_mm_loadu_si128(halves.add(1)), word);
        let packed = _mm_packs_epi32(low, high);
        (_mm_movemask_epi8(_mm_packs_epi16(packed, packed)) & 0xff).cast_unsigned()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let bit = |(index, known): (usize, &u32)| u32::from(*known == word) << index;
        words.iter().enumerate().map(bit).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::equal_bits;

    #[test]
    fn every_word_has_its_bit() {
        for pattern in 0..256u32 {
            let words = std::array::from_fn(|index| if pattern >> index & 1 == 1 { 7 } else { 9 });
            assert_eq!(equal_bits(&words, 7), pattern);
        }
    }
}
