/* Runs the network on frames from a file or standard input, and prints a line for each.
 *
 * A frame is NET_RAW_LENGTH values of net_raw_t (as a C array or numpy.ndarray.tofile() lays them
 * out); a line is the outputs of the network, then its class, if it has any.
 */
#include <stdio.h>

#include "net.h"

static net_raw_t frame[NET_RAW_LENGTH];
static net_output_t outputs[NET_OUTPUTS];

#ifdef NET_QUANTIZES_INPUT
static net_input_t input[NET_INPUT_LENGTH];
#else
#define input frame
#endif

#ifdef NET_CLASS_NAMES
static const char *const class_names[] = {NET_CLASS_NAMES};
#endif

static void run_frame(void)
{
#ifdef NET_QUANTIZES_INPUT
    net_quantize_input(frame, input);
#endif
    net_run(input, outputs);
    for (int i = 0; i < NET_OUTPUTS; i++)
#ifdef NET_REAL
        printf("%s%.9g", i ? " " : "", (double)outputs[i]);
#else
        printf("%s%ld", i ? " " : "", (long)outputs[i]);
#endif
#ifdef NET_CLASSIFIES
    const int chosen = net_classify(outputs);
    printf(" -> %d", chosen);
#ifdef NET_CLASS_NAMES
    if ((size_t)chosen < sizeof class_names / sizeof *class_names)
        printf(" %s", class_names[chosen]);
#endif
#endif
    putchar('\n');
}

int main(int argc, char **argv)
{
    FILE *const file = argc > 1 ? fopen(argv[1], "rb") : stdin;
    if (!file) {
        perror(argv[1]);
        return 1;
    }
    size_t length;
    while ((length = fread(frame, sizeof *frame, NET_RAW_LENGTH, file)) == NET_RAW_LENGTH)
        run_frame();
    const int failed = ferror(file) || length;
    if (failed)
        fprintf(stderr, "The last frame must have %d values, not %lu\n", NET_RAW_LENGTH,
                (unsigned long)length);
    if (file != stdin)
        fclose(file);
    return failed;
}
