// common.glsl: what every shader of this folder starts from.
// Workgroup size: specialisation constant 0, set by the recorder. Own constants start at id 3.
#extension GL_GOOGLE_include_directive : enable
layout (local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

// Workgroups are spread over x and y, since x alone may be limited to 65535.
uint group_index () { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }
// Index of this invocation when one invocation does one element.
uint element_index () { return group_index () * gl_WorkGroupSize.x + gl_LocalInvocationID.x; }
