/* The selective scan and its gradient, a block of channels of one row at a time.
 *
 * h_t = a_t h_(t-1) + d_t B_t x_t with a_t = exp(d_t A), y_t = C_t . h_t + D x_t, out_t = y_t silu(gate_t).
 *
 * Time is cut into chunks of STEPS. For each chunk what belongs to a channel (softplus, gate) is done first, then the
 * states, a few at a time in registers. The state before each chunk is kept; the gradient recomputes the others.
 * Nothing is shared between blocks, so results do not depend on the number of threads.
 */
#include "kernels.h"
#include "vec.h"

#define LN_2 0.6931471805599453f
#define BLOCK SCAN_BLOCK
#define STEPS SCAN_STEPS

/* Vectors of channels and states held in registers at a time. */
#if LANES == 16
#define FORWARD_VECTORS 2
#define FORWARD_STATES 4
#define BACKWARD_VECTORS 4
#else
#define FORWARD_VECTORS 2
#define FORWARD_STATES 1
#define BACKWARD_VECTORS 2
#endif

typedef float Plane[STEPS][BLOCK] ALIGNED;

/* One block of channels of one row. */
typedef struct {
    const Scan *scan;
    int64_t row, block, channel;
    int count; /* channels, at most BLOCK */
} Block;

/* The steps of a chunk in the order of the scan. */
typedef struct {
    int64_t number, start;
    int count, restarts;
    float keep[STEPS]; /* 0 where the state starts anew */
    int64_t time[STEPS];
} Chunk;

static int64_t n_chunks(const Scan *s) { return (s->length + STEPS - 1) / STEPS; }

static int64_t n_blocks(const Scan *s) { return (s->channels + BLOCK - 1) / BLOCK; }

static Block block_of(const Scan *s, int64_t task) {
    int64_t block = task % n_blocks(s), channel = block * BLOCK;
    int64_t left = s->channels - channel;
    return (Block){s, task / n_blocks(s), block, channel, left < BLOCK ? (int)left : BLOCK};
}

static Chunk chunk_of(const Block *b, int64_t number) {
    const Scan *s = b->scan;
    Chunk chunk = {.number = number, .start = number * STEPS};
    int64_t left = s->length - chunk.start;
    chunk.count = left < STEPS ? (int)left : STEPS;
    for (int i = 0; i < chunk.count; i++) {
        int64_t t = chunk.time[i] = s->reverse ? s->length - 1 - chunk.start - i : chunk.start + i;
        int restart = s->restart && s->restart[b->row * s->length + t];
        chunk.keep[i] = restart ? 0.0f : 1.0f;
        chunk.restarts |= restart;
    }
    return chunk;
}

static void load_channels(float *to, const float *from, const Block *b) {
    for (int c = 0; c < BLOCK; c++) to[c] = from && c < b->count ? from[b->channel + c] : 0.0f;
}

/* (states, BLOCK) out of (channels, states), times a factor; zero beyond the last channel. */
static void load_matrix(float *to, const float *from, const Block *b, float factor) {
    int64_t states = b->scan->states;
    for (int64_t n = 0; n < states; n++)
        for (int c = 0; c < BLOCK; c++)
            to[n * BLOCK + c] = c < b->count ? from[(b->channel + c) * states + n] * factor : 0.0f;
}

static void load_plane(Plane to, const Rows *rows, const Block *b, const Chunk *chunk) {
    for (int i = 0; i < chunk->count; i++)
        load_row(to[i], rows, b->row, chunk->time[i], b->channel, b->count, BLOCK);
}

static void store_plane(const Rows *rows, const Block *b, const Chunk *chunk, Plane from) {
    for (int i = 0; i < chunk->count; i++)
        store_row(rows, b->row, chunk->time[i], b->channel, from[i], b->count);
}

/* `step` holds the raw delta and becomes d; `slope` becomes its derivative, if wanted. */
static void make_steps(Plane step, float (*slope)[BLOCK], const float *bias, const Block *b, const Chunk *chunk) {
    const Scan *s = b->scan;
    for (int i = 0; i < chunk->count; i++) {
        int valid = !s->valid || s->valid[b->row * s->length + chunk->time[i]];
        for (int c = 0; c < BLOCK; c += LANES) {
            Softplus d = valid ? softplus(load(&step[i][c]) + load(&bias[c])) : (Softplus){splat(0.0f), splat(0.0f)};
            store(&step[i][c], d.value);
            if (slope) store(&slope[i][c], d.slope);
        }
    }
}

/* to = factor * plane, step by step. */
static void scale_channels(Plane to, const float *factor, Plane plane, int steps) {
    for (int i = 0; i < steps; i++)
        for (int c = 0; c < BLOCK; c += LANES) store(&to[i][c], load(&factor[c]) * load(&plane[i][c]));
}

static void multiply(Plane to, Plane one, Plane other, int steps) {
    for (int i = 0; i < steps; i++)
        for (int c = 0; c < BLOCK; c += LANES) store(&to[i][c], load(&one[i][c]) * load(&other[i][c]));
}

/* plane *= silu(gate). */
static void apply_gate(Plane plane, Plane gate, int steps) {
    for (int i = 0; i < steps; i++)
        for (int c = 0; c < BLOCK; c += LANES) {
            vf g = load(&gate[i][c]);
            store(&plane[i][c], load(&plane[i][c]) * g * sigmoid(g));
        }
}

/* Run `states` states of a few vectors of channels through a chunk; adds to y, replaces h. */
INLINE void run_states(
    const int states, const int restarts, const Block *b, const Chunk *chunk, int64_t n, int c, const float *A,
    float *h, Plane step, Plane drive, Plane y
) {
    const int64_t N = b->scan->states;
    const float *B = b->scan->B + b->row * b->scan->length * N + n;
    const float *C = b->scan->C + b->row * b->scan->length * N + n;
    vf a[FORWARD_STATES][FORWARD_VECTORS], state[FORWARD_STATES][FORWARD_VECTORS];
    for (int j = 0; j < states; j++)
        for (int v = 0; v < FORWARD_VECTORS; v++) {
            a[j][v] = load(&A[(n + j) * BLOCK + c + v * LANES]);
            state[j][v] = load(&h[(n + j) * BLOCK + c + v * LANES]);
        }
    for (int i = 0; i < chunk->count; i++) {
        const float *B_t = B + chunk->time[i] * N, *C_t = C + chunk->time[i] * N;
        for (int v = 0; v < FORWARD_VECTORS; v++) {
            vf d = load(&step[i][c + v * LANES]), u = load(&drive[i][c + v * LANES]);
            vf sum = load(&y[i][c + v * LANES]);
            for (int j = 0; j < states; j++) {
                vf decay = exp2_of(d * a[j][v]);
                if (restarts) decay *= chunk->keep[i];
                state[j][v] = decay * state[j][v] + u * B_t[j];
                sum += state[j][v] * C_t[j];
            }
            store(&y[i][c + v * LANES], sum);
        }
    }
    for (int j = 0; j < states; j++)
        for (int v = 0; v < FORWARD_VECTORS; v++) store(&h[(n + j) * BLOCK + c + v * LANES], state[j][v]);
}

INLINE void run_chunk(
    const int restarts, const Block *b, const Chunk *chunk, const float *A, float *h, Plane step, Plane drive, Plane y
) {
    for (int c = 0; c < BLOCK; c += FORWARD_VECTORS * LANES) {
        int64_t n = 0;
        for (; n + FORWARD_STATES <= b->scan->states; n += FORWARD_STATES)
            run_states(FORWARD_STATES, restarts, b, chunk, n, c, A, h, step, drive, y);
        for (; n < b->scan->states; n++) run_states(1, restarts, b, chunk, n, c, A, h, step, drive, y);
    }
}

static void scan_block(const Block *b, float *scratch) {
    const Scan *s = b->scan;
    Plane x, step, drive, y;
    float bias[BLOCK] ALIGNED, D[BLOCK] ALIGNED;
    float *A = scratch, *h = scratch + s->states * BLOCK;
    load_matrix(A, s->A, b, LOG2_E);
    load_channels(bias, s->delta_bias, b);
    load_channels(D, s->D, b);
    memset(h, 0, s->states * BLOCK * sizeof(float));
    for (int64_t number = 0; number < n_chunks(s); number++) {
        Chunk chunk = chunk_of(b, number);
        if (s->kept) memcpy(kept_state(s, b->row, b->block, number), h, s->states * BLOCK * sizeof(float));
        load_plane(x, &s->x, b, &chunk);
        load_plane(step, &s->delta, b, &chunk);
        make_steps(step, NULL, bias, b, &chunk);
        multiply(drive, step, x, chunk.count);
        scale_channels(y, D, x, chunk.count);
        if (chunk.restarts) run_chunk(1, b, &chunk, A, h, step, drive, y);
        else run_chunk(0, b, &chunk, A, h, step, drive, y);
        if (s->gate.data) {
            load_plane(x, &s->gate, b, &chunk);
            apply_gate(y, x, chunk.count);
        }
        store_plane(&s->y, b, &chunk, y);
    }
}

/* What the gradient needs of a chunk, and what it gathers. */
typedef struct {
    Plane x, step, drive, slope, dy;
    Plane y;                       /* before the gate; wanted for the gate's gradient only */
    Plane d_drive, d_step;         /* gradients of d_t x_t, and of d_t through the decay */
    Plane decay, decayed;          /* a_t, and a_t h_(t-1), of one state */
    float dB[STEPS][LANES] ALIGNED, dC[STEPS][LANES] ALIGNED; /* sums over the channels of each lane */
} Work;

/* The sum over lanes of each step, to one state's column of (length, states). */
static void store_sums(float *to, int64_t N, float (*sums)[LANES], const Chunk *chunk) {
    for (int i = 0; i < chunk->count; i++) {
        float quarter[4] = {0, 0, 0, 0};
        for (int lane = 0; lane < LANES; lane += 4)
            for (int k = 0; k < 4; k++) quarter[k] += sums[i][lane + k];
        to[chunk->time[i] * N] = (quarter[0] + quarter[1]) + (quarter[2] + quarter[3]);
    }
}

/* One state of a few vectors of channels: forward through a chunk, then back. */
INLINE void run_state_back(
    const int restarts, const int gated, const Block *b, const Chunk *chunk, int64_t n, int c, const float *A,
    const float *h, float *carried, float *dA, Work *w
) {
    enum { V = BACKWARD_VECTORS };
    const int64_t N = b->scan->states;
    const float *B = b->scan->B + b->row * b->scan->length * N + n;
    const float *C = b->scan->C + b->row * b->scan->length * N + n;
    vf a[V], state[V], carry[V], sum_A[V];
    for (int v = 0; v < V; v++) {
        int64_t at = n * BLOCK + c + v * LANES;
        a[v] = load(&A[at]), state[v] = load(&h[at]), carry[v] = load(&carried[at]), sum_A[v] = load(&dA[at]);
    }
    for (int i = 0; i < chunk->count; i++) {
        float B_t = B[chunk->time[i] * N], C_t = C[chunk->time[i] * N];
        vf sum_C = c ? load(w->dC[i]) : splat(0.0f);
        for (int v = 0; v < V; v++) {
            int k = c + v * LANES;
            vf decay = exp2_of(load(&w->step[i][k]) * a[v]);
            if (restarts) decay *= chunk->keep[i];
            vf decayed = decay * state[v];
            state[v] = decayed + load(&w->drive[i][k]) * B_t;
            sum_C += load(&w->dy[i][k]) * state[v];
            store(&w->decay[i][k], decay);
            store(&w->decayed[i][k], decayed);
            if (gated) store(&w->y[i][k], load(&w->y[i][k]) + state[v] * C_t);
        }
        store(w->dC[i], sum_C);
    }
    for (int i = chunk->count - 1; i >= 0; i--) {
        float B_t = B[chunk->time[i] * N], C_t = C[chunk->time[i] * N];
        vf sum_B = c ? load(w->dB[i]) : splat(0.0f);
        for (int v = 0; v < V; v++) {
            int k = c + v * LANES;
            vf dh = carry[v] + load(&w->dy[i][k]) * C_t;
            sum_B += dh * load(&w->drive[i][k]);
            store(&w->d_drive[i][k], load(&w->d_drive[i][k]) + dh * B_t);
            vf d_exponent = dh * load(&w->decayed[i][k]);
            store(&w->d_step[i][k], load(&w->d_step[i][k]) + d_exponent * a[v]);
            sum_A[v] += d_exponent * load(&w->step[i][k]);
            carry[v] = dh * load(&w->decay[i][k]);
        }
        store(w->dB[i], sum_B);
    }
    for (int v = 0; v < V; v++) {
        int64_t at = n * BLOCK + c + v * LANES;
        store(&carried[at], carry[v]), store(&dA[at], sum_A[v]);
    }
}

INLINE void run_chunk_back(
    const int restarts, const int gated, const Block *b, const Chunk *chunk, const float *A, const float *h,
    float *carried, float *dA, Work *w
) {
    const Scan *s = b->scan;
    int64_t sums = ((b->block * s->batch + b->row) * s->length) * s->states;
    for (int64_t n = 0; n < s->states; n++) {
        for (int c = 0; c < BLOCK; c += BACKWARD_VECTORS * LANES)
            run_state_back(restarts, gated, b, chunk, n, c, A, h, carried, dA, w);
        store_sums(s->dB + sums + n, s->states, w->dB, chunk);
        store_sums(s->dC + sums + n, s->states, w->dC, chunk);
    }
}

/* Gradient of the gate, of g sigmoid(g) y; dy becomes the gradient of y. */
static void gate_back(const Block *b, const Chunk *chunk, Plane gate, Plane y, Plane dy, Plane d_gate) {
    (void)b;
    for (int i = 0; i < chunk->count; i++)
        for (int c = 0; c < BLOCK; c += LANES) {
            vf g = load(&gate[i][c]), sig = sigmoid(g);
            store(&d_gate[i][c], load(&dy[i][c]) * load(&y[i][c]) * sig * (1.0f + g * (1.0f - sig)));
        }
}

/* Gradients of x, of the raw delta and of what belongs to a channel, once all states are done. */
static void finish_chunk(const Chunk *chunk, const float *D, float *d_bias, float *d_D, Work *w) {
    for (int c = 0; c < BLOCK; c += LANES) {
        vf bias = load(&d_bias[c]), skip = load(&d_D[c]), D_c = load(&D[c]);
        for (int i = 0; i < chunk->count; i++) {
            vf x = load(&w->x[i][c]), dy = load(&w->dy[i][c]), d_drive = load(&w->d_drive[i][c]);
            vf d_step = load(&w->d_step[i][c]) * LN_2 + d_drive * x;
            vf d_delta = d_step * load(&w->slope[i][c]);
            skip += dy * x;
            bias += d_delta;
            store(&w->d_step[i][c], d_delta);
            store(&w->d_drive[i][c], d_drive * load(&w->step[i][c]) + D_c * dy);
        }
        store(&d_bias[c], bias), store(&d_D[c], skip);
    }
}

static void scan_block_back(const Block *b, float *scratch, Work *w) {
    const Scan *s = b->scan;
    Plane gate, d_out, d_gate;
    float bias[BLOCK] ALIGNED, D[BLOCK] ALIGNED, d_bias[BLOCK] ALIGNED = {0}, d_D[BLOCK] ALIGNED = {0};
    float *A = scratch, *carried = A + s->states * BLOCK, *dA = carried + s->states * BLOCK;
    int gated = s->gate.data != NULL;
    load_matrix(A, s->A, b, LOG2_E);
    load_channels(bias, s->delta_bias, b);
    load_channels(D, s->D, b);
    memset(carried, 0, 2 * s->states * BLOCK * sizeof(float));
    for (int64_t number = n_chunks(s) - 1; number >= 0; number--) {
        Chunk chunk = chunk_of(b, number);
        const float *h = kept_state(s, b->row, b->block, number);
        load_plane(w->x, &s->x, b, &chunk);
        load_plane(w->step, &s->delta, b, &chunk);
        load_plane(w->dy, &s->dy, b, &chunk);
        make_steps(w->step, w->slope, bias, b, &chunk);
        multiply(w->drive, w->step, w->x, chunk.count);
        memset(w->d_drive, 0, sizeof(Plane));
        memset(w->d_step, 0, sizeof(Plane));
        if (gated) {
            load_plane(gate, &s->gate, b, &chunk);
            memcpy(d_out, w->dy, sizeof(Plane));
            apply_gate(w->dy, gate, chunk.count);
            scale_channels(w->y, D, w->x, chunk.count);
        }
        if (gated && chunk.restarts) run_chunk_back(1, 1, b, &chunk, A, h, carried, dA, w);
        else if (gated) run_chunk_back(0, 1, b, &chunk, A, h, carried, dA, w);
        else if (chunk.restarts) run_chunk_back(1, 0, b, &chunk, A, h, carried, dA, w);
        else run_chunk_back(0, 0, b, &chunk, A, h, carried, dA, w);
        if (gated) {
            gate_back(b, &chunk, gate, w->y, d_out, d_gate);
            store_plane(&s->d_gate, b, &chunk, d_gate);
        }
        finish_chunk(&chunk, D, d_bias, d_D, w);
        store_plane(&s->dx, b, &chunk, w->d_drive);
        store_plane(&s->d_delta, b, &chunk, w->d_step);
    }
    for (int c = 0; c < b->count; c++) {
        int64_t at = b->row * s->channels + b->channel + c;
        s->d_bias[at] = d_bias[c];
        s->d_D[at] = d_D[c];
        for (int64_t n = 0; n < s->states; n++) s->dA[at * s->states + n] = dA[n * BLOCK + c];
    }
}

/* Takes blocks until none is left; any number of threads may call it with the same `next`. Returns 0, or 1 without memory. */
int LEVEL_NAME(dnadiff_scan)(const Scan *scan, int64_t *next, int backward) {
    int64_t tasks = scan->batch * n_blocks(scan), task;
    float *scratch = aligned_room(3 * scan->states * BLOCK * sizeof(float) + sizeof(Work));
    if (!scratch) return 1;
    unsigned mode = flush_denormals();
    while ((task = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED)) < tasks) {
        Block b = block_of(scan, task);
        if (backward) scan_block_back(&b, scratch, (Work *)(scratch + 3 * scan->states * BLOCK));
        else scan_block(&b, scratch);
    }
    restore_denormals(mode);
    free(scratch);
    return 0;
}
