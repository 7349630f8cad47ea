/* Runs a batch through the generated network, for sim.native. */
#include <string.h>

#include "net.h"

#ifdef NET_TRACE
static net_trace_t *trace_end;

void net_trace(int layer, const net_trace_t *values, size_t count)
{
    (void)layer;
    memcpy(trace_end, values, count * sizeof *values);
    trace_end += count;
}

void native_trace(const net_input_t *frames, net_output_t *outputs, size_t count, net_trace_t *trace);

/* As native_run; what every layer makes of each frame follows one another in `trace`. */
void native_trace(const net_input_t *frames, net_output_t *outputs, size_t count, net_trace_t *trace)
{
    trace_end = trace;
    for (size_t i = 0; i < count; i++)
        net_run(frames + i * NET_INPUT_LENGTH, outputs + i * NET_OUTPUTS);
}
#else
/* Bytes of constants, and of stack for tensors. */
extern const size_t native_memory[2];
const size_t native_memory[2] = {NET_WEIGHT_BYTES, NET_SCRATCH_BYTES};

void native_run(const net_input_t *frames, net_output_t *outputs, size_t count);

void native_run(const net_input_t *frames, net_output_t *outputs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        net_run(frames + i * NET_INPUT_LENGTH, outputs + i * NET_OUTPUTS);
}
#endif
