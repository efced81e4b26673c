//! Bits of 8-bit elements on 32-bit NEON: VCGE, VAND with the bit of each byte's place, and three VPADD gather 64 bits.

use std::arch::global_asm;
use std::mem::offset_of;

pub(super) use super::signs::BitThresholds as Thresholds;
use super::signs::Group;
use crate::kernels::micro::SLACK;

const _: () = assert!(size_of::<Group>() == 128 && offset_of!(Group, bits) == 64);

// r0 words, r1 elements, r2 group, r3 pixels that are left; on the stack bytes between the elements and between the words of
// neighbouring pixels. q8-q11 thresholds, q12-q15 bits.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon

    .balign 16
    .global quantrack_signs_64_v7
    .hidden quantrack_signs_64_v7
    .type quantrack_signs_64_v7, %function
quantrack_signs_64_v7:
    push {r4, lr}
    ldr r12, [sp, #8]
    ldr lr, [sp, #12]
    vld1.8 {d16-d19}, [r2]!
    vld1.8 {d20-d23}, [r2]!
    vld1.8 {d24-d27}, [r2]!
    vld1.8 {d28-d31}, [r2]
2:
    add r4, r1, #32
    vld1.8 {d0-d3}, [r1], r12
    vld1.8 {d4-d7}, [r4]
    vcge.s8 q0, q0, q8
    vcge.s8 q1, q1, q9
    vcge.s8 q2, q2, q10
    vcge.s8 q3, q3, q11
    vand q0, q0, q12
    vand q1, q1, q13
    vand q2, q2, q14
    vand q3, q3, q15
    vpadd.i8 d0, d0, d1
    vpadd.i8 d1, d2, d3
    vpadd.i8 d2, d4, d5
    vpadd.i8 d3, d6, d7
    vpadd.i8 d0, d0, d1
    vpadd.i8 d1, d2, d3
    subs r3, r3, #1
    vpadd.i8 d0, d0, d1
    vst1.8 {d0}, [r0], lr
    bne 2b
    pop {r4, pc}
    .size quantrack_signs_64_v7, . - quantrack_signs_64_v7

    @ The same for 32 channels at most: the upper half of a word is 0.
    .balign 16
    .global quantrack_signs_32_v7
    .hidden quantrack_signs_32_v7
    .type quantrack_signs_32_v7, %function
quantrack_signs_32_v7:
    push {r4, lr}
    ldr r12, [sp, #8]
    ldr lr, [sp, #12]
    vld1.8 {d16-d19}, [r2]
    add r2, r2, #64
    vld1.8 {d24-d27}, [r2]
    vmov.i32 d4, #0
2:
    vld1.8 {d0-d3}, [r1], r12
    vcge.s8 q0, q0, q8
    vcge.s8 q1, q1, q9
    vand q0, q0, q12
    vand q1, q1, q13
    vpadd.i8 d0, d0, d1
    vpadd.i8 d1, d2, d3
    subs r3, r3, #1
    vpadd.i8 d0, d0, d1
    vpadd.i8 d0, d0, d4
    vst1.8 {d0}, [r0], lr
    bne 2b
    pop {r4, pc}
    .size quantrack_signs_32_v7, . - quantrack_signs_32_v7
"#,
    options(raw)
);

unsafe extern "C" {
    fn quantrack_signs_64_v7(
        y: *mut u64,
        x: *const u8,
        group: *const Group,
        pixels: usize,
        channels: usize,
        step: usize,
    );
    fn quantrack_signs_32_v7(
        y: *mut u64,
        x: *const u8,
        group: *const Group,
        pixels: usize,
        channels: usize,
        step: usize,
    );
}

impl Thresholds {
    /// The bits of as many pixels as `output` has words for. `input` goes on for [`SLACK`] bytes after them.
    ///
    /// # Safety
    /// The CPU has NEON.
    pub(super) unsafe fn compare(&self, input: &[u8], output: &mut [u64]) {
        let (channels, words) = (self.channels, self.groups.len());
        let pixels = output.len() / words;
        assert!(input.len() >= pixels * channels + SLACK);
        if pixels == 0 {
            return;
        }
        for (word, group) in self.groups.iter().enumerate() {
            let wide = channels - 64 * word > 32;
            let function = if wide { quantrack_signs_64_v7 } else { quantrack_signs_32_v7 };
            // SAFETY: the caller vouches for the CPU; a group reads up to 64 elements of its pixel, whose channels and SLACK they
            // do not exceed, and writes words of pixels that there are.
            unsafe {
                let (y, x) = (output.as_mut_ptr().add(word), input.as_ptr().add(64 * word));
                function(y, x, group, pixels, channels, 8 * words);
            }
        }
    }
}
