#version 450
// matmul-wide.comp: matmul.glsl with tiles of 64 x 64.
#extension GL_GOOGLE_include_directive : enable
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#define T 8
#include "matmul.glsl"
