/* wrong-abi.c: a descriptor of another version of the contract. */
#include "plugins/plugin.h"

FM_API extern const FmPluginDescriptor fm_plugin_descriptor;
const FmPluginDescriptor fm_plugin_descriptor = { .abi = 999, .size = sizeof (FmPluginDescriptor), .id = "wrong-abi" };
