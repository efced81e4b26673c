//! Calibration, quantized weights and recipes.
