/* A depthwise convolution that looks to one side only, then silu, and its gradient; a block of channels at a time.
 *
 * y_t = act(bias + sum over lags k of weight[taps - 1 - k] x_(t-k)), where x counts as 0 if it is not valid, and nothing
 * is seen across a restart. Memory is read once; the gradient recomputes what the activation was given.
 */
#include "blocks.h"
#include "kernels.h"
#include "vec.h"

enum { MOST_TAPS = CONV_TAPS, MARGIN = MOST_TAPS - 1 };

typedef struct {
    const Conv *conv;
    Block block;
    float weight[MOST_TAPS][BLOCK] ALIGNED; /* by lag */
    float bias[BLOCK] ALIGNED;
} Task;

typedef float Window[MARGIN + STEPS][BLOCK] ALIGNED; /* a chunk, and before it what its first steps see */

static void start_task(Task *task, const Conv *conv, int64_t number) {
    task->conv = conv, task->block = block_of(number, conv->channels);
    const Block *b = &task->block;
    load_channels(task->bias, conv->bias, b);
    for (int lag = 0; lag < conv->taps; lag++)
        for (int c = 0; c < BLOCK; c++) {
            const float *weight = conv->weight + (b->channel + c) * conv->taps;
            task->weight[lag][c] = c < b->count ? weight[conv->taps - 1 - lag] : 0.0f;
        }
}

/* The largest lag that is seen from a step of the chunk. */
static int reach_of(const Task *task, const Chunk *chunk, int64_t step) {
    const Conv *conv = task->conv;
    int reach = (int)conv->taps - 1;
    if (!conv->restart) return reach;
    for (int lag = 0; lag < reach; lag++) {
        int64_t time = time_of(chunk, step - lag);
        if (time < 0 || time >= conv->length || conv->restart[task->block.row * conv->length + time]) return lag;
    }
    return reach;
}

static int is_valid(const Task *task, int64_t time) {
    const Conv *conv = task->conv;
    return !conv->valid || conv->valid[task->block.row * conv->length + time];
}

/* x of the chunk and of what is seen from it; zero before the row begins and where it is not valid. */
static void load_window(Window window, const Task *task, const Chunk *chunk) {
    int margin = (int)task->conv->taps - 1;
    for (int i = -margin; i < chunk->count; i++) {
        int64_t time = time_of(chunk, i);
        if (time < 0 || time >= chunk->length || !is_valid(task, time)) memset(window[MARGIN + i], 0, sizeof(window[0]));
        else load_step(window[MARGIN + i], &task->conv->x, &task->block, time);
    }
}

/* The convolution before its activation. */
INLINE void convolve(const int taps, Plane to, const Task *task, const Chunk *chunk, Window window) {
    for (int c = 0; c < BLOCK; c += LANES)
        for (int i = 0; i < chunk->count; i++) {
            int reach = task->conv->restart ? reach_of(task, chunk, i) : taps - 1;
            vf sum = load(&task->bias[c]);
            for (int lag = 0; lag < taps; lag++)
                if (lag <= reach) sum += load(&task->weight[lag][c]) * load(&window[MARGIN + i - lag][c]);
            store(&to[i][c], sum);
        }
}

static void apply_silu(Plane plane, const Chunk *chunk) {
    for (int i = 0; i < chunk->count; i++)
        for (int c = 0; c < BLOCK; c += LANES) {
            vf value = load(&plane[i][c]);
            store(&plane[i][c], value * sigmoid(value));
        }
}

INLINE void run_task(const int taps, const Task *task) {
    const Conv *conv = task->conv;
    Window window;
    Plane y;
    for (int64_t number = 0; number < n_chunks(conv->length); number++) {
        Chunk chunk = chunk_of(number, conv->length, (int)conv->reverse);
        fetch_plane(&conv->x, &task->block, &chunk, STEPS);
        load_window(window, task, &chunk);
        convolve(taps, y, task, &chunk, window);
        if (conv->silu) apply_silu(y, &chunk);
        store_plane(&conv->y, &task->block, &chunk, y);
    }
}

/* Multiplies the gradient of silu(before) by its slope. */
static void silu_back(float (*dy)[BLOCK], Plane before, const Chunk *chunk) {
    for (int i = 0; i < chunk->count; i++)
        for (int c = 0; c < BLOCK; c += LANES) {
            vf value = load(&before[i][c]), sig = sigmoid(value);
            store(&dy[i][c], load(&dy[i][c]) * sig * (1.0f + value * (1.0f - sig)));
        }
}

/* Adds to the gradients of weight (by lag) and bias. */
INLINE void sum_weights(
    const int taps, float (*d_weight)[BLOCK], float *d_bias, float (*dy)[BLOCK], const Task *task, const Chunk *chunk,
    Window window
) {
    for (int c = 0; c < BLOCK; c += LANES) {
        vf sums[MOST_TAPS], bias = load(&d_bias[c]);
        for (int lag = 0; lag < taps; lag++) sums[lag] = load(&d_weight[lag][c]);
        for (int i = 0; i < chunk->count; i++) {
            int reach = task->conv->restart ? reach_of(task, chunk, i) : taps - 1;
            vf d = load(&dy[i][c]);
            bias += d;
            for (int lag = 0; lag < taps; lag++)
                if (lag <= reach) sums[lag] += d * load(&window[MARGIN + i - lag][c]);
        }
        for (int lag = 0; lag < taps; lag++) store(&d_weight[lag][c], sums[lag]);
        store(&d_bias[c], bias);
    }
}

/* The gradient of x; `dy` goes on for taps - 1 steps after the chunk. */
INLINE void convolve_back(const int taps, Plane dx, float (*dy)[BLOCK], const Task *task, const Chunk *chunk) {
    for (int i = 0; i < chunk->count; i++) {
        int valid = is_valid(task, time_of(chunk, i));
        for (int c = 0; c < BLOCK; c += LANES) {
            vf sum = splat(0.0f);
            for (int lag = 0; lag < taps; lag++)
                if (!task->conv->restart || lag <= reach_of(task, chunk, i + lag))
                    sum += load(&task->weight[lag][c]) * load(&dy[i + lag][c]);
            store(&dx[i][c], valid ? sum : splat(0.0f));
        }
    }
}

INLINE void run_task_back(const int taps, const Task *task) {
    const Conv *conv = task->conv;
    const Block *b = &task->block;
    Window window;
    Plane plane;
    float dy[STEPS + MARGIN][BLOCK] ALIGNED = {0};
    float d_weight[MOST_TAPS][BLOCK] ALIGNED = {0}, d_bias[BLOCK] ALIGNED = {0};
    for (int64_t number = n_chunks(conv->length) - 1; number >= 0; number--) {
        Chunk chunk = chunk_of(number, conv->length, (int)conv->reverse);
        fetch_plane(&conv->x, b, &chunk, -STEPS);
        fetch_plane(&conv->dy, b, &chunk, -STEPS);
        memmove(dy[chunk.count], dy[0], (size_t)(taps - 1) * sizeof(dy[0]));
        load_plane(dy, &conv->dy, b, &chunk);
        load_window(window, task, &chunk);
        if (conv->silu) {
            convolve(taps, plane, task, &chunk, window);
            silu_back(dy, plane, &chunk);
        }
        sum_weights(taps, d_weight, d_bias, dy, task, &chunk, window);
        convolve_back(taps, plane, dy, task, &chunk);
        store_plane(&conv->dx, b, &chunk, plane);
    }
    for (int c = 0; c < b->count; c++) {
        int64_t at = b->row * conv->channels + b->channel + c;
        conv->d_bias[at] = d_bias[c];
        for (int lag = 0; lag < taps; lag++) conv->d_weight[at * taps + taps - 1 - lag] = d_weight[lag][c];
    }
}

/* Takes blocks until none is left; threads that share `next` share the work. */
int LEVEL_NAME(dnadiff_conv)(const Conv *conv, int64_t *next, int backward) {
    int64_t tasks = conv->batch * n_blocks(conv->channels), number;
    unsigned mode = flush_denormals();
    while ((number = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED)) < tasks) {
        Task task;
        start_task(&task, conv, number);
        if (conv->taps == 4 && backward) run_task_back(4, &task);
        else if (conv->taps == 4) run_task(4, &task);
        else if (backward) run_task_back((int)conv->taps, &task);
        else run_task((int)conv->taps, &task);
    }
    restore_denormals(mode);
    return 0;
}
