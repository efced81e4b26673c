//! The part of TFLite's FlatBuffers schema (version 3) that the importer and the writer use.
//!
//! Field numbers are those of `schema.fbs` in LiteRT. [`model`] verifies a file as a whole with the verifier of
//! the `flatbuffers` crate; only verified tables exist, so accessors cannot fail. Fields that are not listed are
//! neither verified nor read.
//!
//! The `unsafe` here is what `flatc` generates as well: following an offset that the verifier has visited.

use flatbuffers::{
    FlatBufferBuilder, Follow, ForwardsUOffset, InvalidFlatbuffer, Table, TableFinishedWIPOffset,
    TableVerifier, VOffsetT, Vector, Verifiable, Verifier, VerifierOptions, WIPOffset,
};

use crate::model::fault::{Fault, malformed};

/// The bytes 4 to 7 of every file.
pub(super) const IDENTIFIER: &str = "TFL3";

type Ref<T> = ForwardsUOffset<T>;
type Text<'a> = Ref<&'a str>;
type Scalars<'a, T> = Ref<Vector<'a, T>>;
type List<'a, T> = Ref<Vector<'a, Ref<T>>>;

/// Position of a field in a vtable.
pub(super) const fn slot(field: VOffsetT) -> VOffsetT {
    4 + 2 * field
}

/// Verifies the whole file and returns its root.
pub(super) fn model(bytes: &[u8]) -> Result<Model<'_>, InvalidFlatbuffer> {
    let options = VerifierOptions {
        max_depth: 16,
        max_tables: 1 << 20,
        // Tables may share what they point to, but only honest files share little: four times the file.
        max_apparent_size: bytes.len().saturating_mul(4).saturating_add(1 << 20),
        ..VerifierOptions::default()
    };
    flatbuffers::root_with_opts::<Model<'_>>(&options, bytes)
}

/// Declares a table: `number name: type`. Accessors return `None` for absent fields, whose default in the schema
/// is 0 unless noted.
macro_rules! table {
    (
        $(#[$doc:meta])* $name:ident<$lt:lifetime> { $($field:literal $get:ident: $ty:ty,)* }
        $(union $union:ident)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(super) struct $name<$lt>(Table<$lt>);

        impl<$lt> Follow<$lt> for $name<$lt> {
            type Inner = Self;

            unsafe fn follow(buf: &$lt [u8], loc: usize) -> Self {
                // SAFETY: the caller promises a table at `loc`, which the verifier found there.
                Self(unsafe { Table::new(buf, loc) })
            }
        }

        impl<$lt> Verifiable for $name<$lt> {
            fn run_verifier(v: &mut Verifier<'_, '_>, pos: usize) -> Result<(), InvalidFlatbuffer> {
                let table = v.visit_table(pos)?
                    $(.visit_field::<$ty>(stringify!($get), slot($field), false)?)*;
                $(let table = $union(table)?;)?
                table.finish();
                Ok(())
            }
        }

        impl<$lt> $name<$lt> {
            $(pub(super) fn $get(&self) -> Option<<$ty as Follow<$lt>>::Inner> {
                // SAFETY: `run_verifier` has visited this field as the same type.
                unsafe { self.0.get::<$ty>(slot($field), None) }
            })*
        }
    };
}

table! {
    /// The root.
    Model<'a> {
        0 version: u32,
        1 operator_codes: List<'a, OperatorCode<'a>>,
        2 subgraphs: List<'a, SubGraph<'a>>,
        4 buffers: List<'a, Buffer<'a>>,
    }
}
table! {
    /// Which operator, in which version.
    OperatorCode<'a> {
        0 deprecated_builtin_code: i8,
        1 custom_code: Text<'a>,
        2 version: i32, // default 1
        3 builtin_code: i32,
    }
}
table! {
    /// Tensors and the operators between them.
    SubGraph<'a> {
        0 tensors: List<'a, Tensor<'a>>,
        1 inputs: Scalars<'a, i32>,
        2 outputs: Scalars<'a, i32>,
        3 operators: List<'a, Operator<'a>>,
    }
}
table! {
    /// A tensor; constant when its buffer holds data.
    Tensor<'a> {
        0 shape: Scalars<'a, i32>,
        1 element_type: i8,
        2 buffer: u32,
        3 name: Text<'a>,
        5 is_variable: bool,
        6 sparsity: u32, // offset of a table, which is not followed
    }
}
table! {
    /// Data of constants, in the flatbuffer or (files above 2 GiB) behind it.
    Buffer<'a> {
        0 data: Scalars<'a, u8>,
        1 offset: u64,
        2 size: u64,
    }
}
table! {
    /// An operator; an operand of -1 is absent.
    Operator<'a> {
        0 opcode_index: u32,
        1 inputs: Scalars<'a, i32>,
        2 outputs: Scalars<'a, i32>,
        5 custom_options: Scalars<'a, u8>,
    }
    union verify_options
}

/// Fields 3 and 4 of [`Operator`]: the union `BuiltinOptions`.
const OPTIONS_TYPE: VOffsetT = slot(3);
const OPTIONS: VOffsetT = slot(4);

/// Declares the members of the union `BuiltinOptions`: `Name = tag { number field: type = default }`, as plain
/// structures that are read, verified and written field by field.
macro_rules! options {
    ($($(#[$doc:meta])* $name:ident = $tag:literal {
        $($(#[$field_doc:meta])* $field:literal $get:ident: $ty:ty = $default:literal,)*
    })*) => {
        $($(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $get: $ty,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($get: $default,)* }
            }
        }

        impl $name {
            /// The parameters of an operator that has these; absent ones have their defaults.
            pub(super) fn of(options: Options) -> Result<Self, Fault> {
                match options {
                    Options::$name(options) => Ok(options),
                    Options::None => Ok(Self::default()),
                    other => Err(malformed(format!("carries {other:?} instead of {}", stringify!($name)))),
                }
            }

            fn read(table: Table<'_>) -> Self {
                Self { $(
                    // SAFETY: the verifier visited this field as the same type under the same tag.
                    $get: unsafe { table.get::<$ty>(slot($field), None) }.unwrap_or($default),
                )* }
            }

            fn write(self, builder: &mut FlatBufferBuilder<'_>) -> WIPOffset<TableFinishedWIPOffset> {
                let table = builder.start_table();
                $(builder.push_slot(slot($field), self.$get, $default);)*
                builder.end_table(table)
            }
        }

        impl Verifiable for $name {
            fn run_verifier(v: &mut Verifier<'_, '_>, pos: usize) -> Result<(), InvalidFlatbuffer> {
                v.visit_table(pos)?
                    $(.visit_field::<$ty>(stringify!($get), slot($field), false)?)*
                    .finish();
                Ok(())
            }
        }

        impl From<$name> for Options {
            fn from(options: $name) -> Self {
                Self::$name(options)
            }
        })*

        /// The parameters of an operator: the union `BuiltinOptions` of the schema.
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub enum Options {
            /// Absent.
            #[default]
            None,
            $($(#[$doc])* $name($name),)*
            /// A member that no supported operator needs, by its number.
            Other(u8),
        }

        impl Options {
            /// Number in the union, and the table.
            pub(super) fn write(
                self,
                builder: &mut FlatBufferBuilder<'_>,
            ) -> Option<(u8, WIPOffset<TableFinishedWIPOffset>)> {
                match self {
                    $(Self::$name(options) => Some(($tag, options.write(builder))),)*
                    Self::None | Self::Other(_) => None,
                }
            }
        }

        fn verify_options<'v, 'o, 'b>(
            table: TableVerifier<'v, 'o, 'b>,
        ) -> Result<TableVerifier<'v, 'o, 'b>, InvalidFlatbuffer> {
            table.visit_union::<u8, _>(
                "builtin_options_type", OPTIONS_TYPE, "builtin_options", OPTIONS, false,
                |tag, v, pos| match tag {
                    $($tag => v.verify_union_variant::<Ref<$name>>(stringify!($name), pos),)*
                    _ => Ok(()),
                },
            )
        }

        impl Operator<'_> {
            /// The parameters.
            pub(super) fn options(&self) -> Options {
                // SAFETY: the verifier visited the tag; a tag that is present comes with a value.
                let tag = unsafe { self.0.get::<u8>(OPTIONS_TYPE, None) }.unwrap_or(0);
                match tag {
                    0 => Options::None,
                    $($tag => {
                        // SAFETY: under this tag the verifier visited the value as this table.
                        let table = unsafe { self.0.get::<Ref<Table<'_>>>(OPTIONS, None) };
                        table.map_or(Options::None, |table| $name::read(table).into())
                    })*
                    other => Options::Other(other),
                }
            }
        }
    };
}

options! {
    /// `CONV_2D`.
    Conv2dOptions = 1 {
        /// 0 for SAME, 1 for VALID.
        0 padding: i8 = 0,
        /// Horizontal step.
        1 stride_w: i32 = 0,
        /// Vertical step.
        2 stride_h: i32 = 0,
        /// `ActivationFunctionType`.
        3 activation: i8 = 0,
        /// Horizontal distance of taps.
        4 dilation_w: i32 = 1,
        /// Vertical distance of taps.
        5 dilation_h: i32 = 1,
    }
    /// `DEPTHWISE_CONV_2D`.
    DepthwiseConv2dOptions = 2 {
        /// 0 for SAME, 1 for VALID.
        0 padding: i8 = 0,
        /// Horizontal step.
        1 stride_w: i32 = 0,
        /// Vertical step.
        2 stride_h: i32 = 0,
        /// Results per input channel; redundant, the weights tell it.
        3 depth_multiplier: i32 = 0,
        /// `ActivationFunctionType`.
        4 activation: i8 = 0,
        /// Horizontal distance of taps.
        5 dilation_w: i32 = 1,
        /// Vertical distance of taps.
        6 dilation_h: i32 = 1,
    }
    /// `MAX_POOL_2D`, `AVERAGE_POOL_2D`.
    Pool2dOptions = 5 {
        /// 0 for SAME, 1 for VALID.
        0 padding: i8 = 0,
        /// Horizontal step.
        1 stride_w: i32 = 0,
        /// Vertical step.
        2 stride_h: i32 = 0,
        /// Width of the window.
        3 filter_w: i32 = 0,
        /// Height of the window.
        4 filter_h: i32 = 0,
        /// `ActivationFunctionType`.
        5 activation: i8 = 0,
    }
    /// `FULLY_CONNECTED`.
    FullyConnectedOptions = 8 {
        /// `ActivationFunctionType`.
        0 activation: i8 = 0,
        /// 0 for row-major.
        1 weights_format: i8 = 0,
        /// Whether the result keeps the leading axes of the operand.
        2 keep_num_dims: bool = false,
    }
    /// `SOFTMAX`.
    SoftmaxOptions = 9 {
        /// Factor of the exponent.
        0 beta: f32 = 0.0,
    }
    /// `CONCATENATION`.
    ConcatenationOptions = 10 {
        /// The axis, from the end when negative.
        0 axis: i32 = 0,
        /// `ActivationFunctionType`.
        1 activation: i8 = 0,
    }
    /// `ADD`.
    AddOptions = 11 {
        /// `ActivationFunctionType`.
        0 activation: i8 = 0,
    }
    /// `RESIZE_BILINEAR`.
    ResizeBilinearOptions = 15 {
        /// The corners of input and output coincide.
        2 align_corners: bool = false,
        /// Samples lie at the centres of pixels.
        3 half_pixel_centers: bool = false,
    }
    /// `MUL`.
    MulOptions = 21 {
        /// `ActivationFunctionType`.
        0 activation: i8 = 0,
    }
    /// `GATHER`.
    GatherOptions = 23 {
        /// The axis, from the end when negative.
        0 axis: i32 = 0,
        /// Leading axes that operand and indices share.
        1 batch_dims: i32 = 0,
    }
    /// `MEAN`, `SUM`, `REDUCE_MAX`, `REDUCE_MIN`.
    ReducerOptions = 27 {
        /// Whether reduced axes stay with an extent of 1.
        0 keep_dims: bool = false,
    }
    /// `SUB`.
    SubOptions = 28 {
        /// `ActivationFunctionType`.
        0 activation: i8 = 0,
    }
    /// `DIV`.
    DivOptions = 29 {
        /// `ActivationFunctionType`.
        0 activation: i8 = 0,
    }
    /// `STRIDED_SLICE`.
    StridedSliceOptions = 32 {
        /// Axes whose first index is ignored.
        0 begin_mask: i32 = 0,
        /// Axes whose last index is ignored.
        1 end_mask: i32 = 0,
        /// Where an ellipsis stands.
        2 ellipsis_mask: i32 = 0,
        /// Where an axis is added.
        3 new_axis_mask: i32 = 0,
        /// Axes of which one index is taken, and which vanish.
        4 shrink_axis_mask: i32 = 0,
        /// Whether `end` counts from `begin`.
        5 offset: bool = false,
    }
    /// `UNPACK`.
    UnpackOptions = 64 {
        /// Number of results.
        0 num: i32 = 0,
        /// The axis, from the end when negative.
        1 axis: i32 = 0,
    }
}
