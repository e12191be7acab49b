#version 450
// matmul.comp: matmul.glsl with tiles of 32 x 32.
#extension GL_GOOGLE_include_directive : enable
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#define T 4
#include "matmul.glsl"
