//! TFLite's builtin operators.

/// The names of all builtin operators, in the order of their codes in `schema.fbs`.
const NAMES: &str = "\
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE \
EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D \
LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 \
RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM \
CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND \
SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE \
BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM \
CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE \
SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW \
ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK \
REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR \
LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS \
WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE \
NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM \
BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG \
REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL \
CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL \
BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD \
UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR \
RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE STABLEHLO_MULTIPLY \
STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE \
STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL \
STABLEHLO_REDUCE STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL \
STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER \
STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH \
STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE \
STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL \
STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE STABLEHLO_GATHER STABLEHLO_TRANSPOSE \
DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT \
STABLEHLO_CBRT STABLEHLO_CASE";

/// The code of all custom operators.
pub(super) const CUSTOM: i32 = 32;

/// The operator with `code`, if there is one.
pub(super) fn name(code: i32) -> Option<&'static str> {
    NAMES.split_ascii_whitespace().nth(usize::try_from(code).ok()?)
}

/// Declares the supported operators: `Variant = code, newest known version`.
macro_rules! builtins {
    ($($variant:ident = $code:literal, $version:literal;)*) => {
        /// The builtin operators that the importer knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names say it")]
        pub enum Builtin {
            $($variant = $code,)*
        }

        impl Builtin {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The newest version known here; newer ones may mean something else.
            pub(super) fn max_version(self) -> i32 {
                match self {
                    $(Self::$variant => $version,)*
                }
            }
        }
    };
}

builtins! {
    Add = 0, 5;
    AveragePool2d = 1, 3;
    Concatenation = 2, 5;
    Conv2d = 3, 8;
    DepthwiseConv2d = 4, 7;
    Dequantize = 6, 6;
    FullyConnected = 9, 14;
    Logistic = 14, 3;
    MaxPool2d = 17, 3;
    Mul = 18, 7;
    Relu = 19, 3;
    Relu6 = 21, 3;
    Reshape = 22, 2;
    ResizeBilinear = 23, 4;
    Softmax = 25, 3;
    Pad = 34, 4;
    Gather = 36, 7;
    Mean = 40, 3;
    Sub = 41, 5;
    Div = 42, 2;
    Squeeze = 43, 2;
    StridedSlice = 45, 8;
    Prelu = 54, 1;
    Maximum = 55, 4;
    Minimum = 57, 4;
    ExpandDims = 70, 1;
    Sum = 74, 2;
    ReduceMax = 82, 3;
    Unpack = 88, 4;
    ReduceMin = 89, 3;
    Sign = 158, 2;
}

impl Builtin {
    /// Its code in the schema.
    pub(super) fn code(self) -> i32 {
        self as i32
    }

    /// The operator with `code`, if it is supported.
    pub(super) fn from_code(code: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|builtin| builtin.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_agree() {
        for &builtin in Builtin::ALL {
            let screaming = name(builtin.code()).unwrap().replace('_', "");
            assert_eq!(format!("{builtin:?}").to_ascii_uppercase(), screaming);
        }
        assert_eq!(name(32), Some("CUSTOM"));
        assert_eq!(name(209), Some("STABLEHLO_CASE"));
        assert_eq!((name(210), name(-1)), (None, None));
    }
}
