/* The selective scan and its gradient, a block of channels of one row at a time.
 *
 * h_t = a_t h_(t-1) + d_t B_t x_t with a_t = exp(d_t A), y_t = C_t . h_t + D x_t, out_t = y_t silu(gate_t).
 *
 * Time is cut into chunks of STEPS. For each chunk what belongs to a channel (softplus, gate) is done first, then the
 * states, a few at a time in registers. The state before each chunk is kept; the gradient recomputes the others.
 * Nothing is shared between blocks, so results do not depend on the number of threads. A chunk's buffers stay in the
 * first level of cache.
 */
#include "kernels.h"
#include "vec.h"

#define LN_2 0.6931471805599453f
#define BLOCK SCAN_BLOCK
#define STEPS SCAN_STEPS

/* Vectors of channels and states held in registers at a time. */
#if LANES == 16
enum { FORWARD_VECTORS = 2, FORWARD_STATES = 4, BACKWARD_VECTORS = 2, BACKWARD_STATES = 2 };
#else
enum { FORWARD_VECTORS = 2, FORWARD_STATES = 1, BACKWARD_VECTORS = 2, BACKWARD_STATES = 1 };
#endif

typedef float Plane[STEPS][BLOCK] ALIGNED;

/* One block of channels of one row. */
typedef struct {
    const Scan *scan;
    int64_t row, block, channel;
    int count;            /* channels, at most BLOCK */
    float *A;             /* (states, BLOCK), times log2(e) */
    float largest_A;      /* magnitude, times log2(e) */
    float bias[BLOCK] ALIGNED, D[BLOCK] ALIGNED;
} Block;

/* The steps of a chunk, in the order of the scan. */
typedef struct {
    int64_t number, first, direction; /* times are first, first + direction, ... */
    int count;
    int careful;                      /* a state starts anew, or some decay may underflow */
    float keep[STEPS];                /* 0 where the state starts anew, else 1 */
} Chunk;

static int64_t n_chunks(const Scan *s) { return (s->length + STEPS - 1) / STEPS; }

static int64_t n_blocks(const Scan *s) { return (s->channels + BLOCK - 1) / BLOCK; }

INLINE int64_t time_of(const Chunk *chunk, int step) { return chunk->first + chunk->direction * step; }

static void load_channels(float *to, const float *from, const Block *b) {
    for (int c = 0; c < BLOCK; c++) to[c] = from && c < b->count ? from[b->channel + c] : 0.0f;
}

static void start_block(Block *b, const Scan *s, int64_t task, float *A) {
    b->scan = s, b->A = A, b->largest_A = 0.0f;
    b->row = task / n_blocks(s), b->block = task % n_blocks(s), b->channel = b->block * BLOCK;
    int64_t left = s->channels - b->channel;
    b->count = left < BLOCK ? (int)left : BLOCK;
    load_channels(b->bias, s->delta_bias, b);
    load_channels(b->D, s->D, b);
    for (int64_t n = 0; n < s->states; n++)
        for (int c = 0; c < BLOCK; c++) {
            float value = c < b->count ? s->A[(b->channel + c) * s->states + n] * LOG2_E : 0.0f;
            A[n * BLOCK + c] = value;
            if (!(__builtin_fabsf(value) <= b->largest_A)) b->largest_A = __builtin_fabsf(value);
        }
}

static Chunk chunk_of(const Block *b, int64_t number) {
    const Scan *s = b->scan;
    int64_t start = number * STEPS, left = s->length - start;
    Chunk chunk = {.number = number, .count = left < STEPS ? (int)left : STEPS};
    chunk.first = s->reverse ? s->length - 1 - start : start;
    chunk.direction = s->reverse ? -1 : 1;
    for (int i = 0; i < chunk.count; i++) {
        int restart = s->restart && s->restart[b->row * s->length + time_of(&chunk, i)];
        chunk.keep[i] = restart ? 0.0f : 1.0f;
        chunk.careful |= restart;
    }
    return chunk;
}

static void load_plane(Plane to, const Rows *rows, const Block *b, const Chunk *chunk) {
    for (int i = 0; i < chunk->count; i++)
        load_row(to[i], place(rows, b->row, time_of(chunk, i), b->channel), rows->is_bf16, b->count, BLOCK);
}

static void store_plane(const Rows *rows, const Block *b, const Chunk *chunk, Plane from) {
    for (int i = 0; i < chunk->count; i++)
        store_row(place(rows, b->row, time_of(chunk, i), b->channel), rows->is_bf16, from[i], b->count, BLOCK);
}

/* Asks for the rows of the chunk that comes next, so that they are there in time. */
static void fetch_plane(const Rows *rows, const Block *b, const Chunk *chunk, int64_t ahead) {
    int64_t from = chunk->first + ahead, to = from + chunk->direction * (STEPS - 1);
    if (!rows->data || from < 0 || to < 0 || from >= b->scan->length || to >= b->scan->length) return;
    for (int i = 0; i < STEPS; i++) {
        const char *at = place(rows, b->row, from + chunk->direction * i, b->channel);
        for (int64_t byte = 0; byte < b->count * (rows->is_bf16 ? 2 : 4); byte += 64) __builtin_prefetch(at + byte, 0, 2);
    }
}

/* `step` holds the raw delta and becomes d, drive = d x; `slope` becomes the derivative of d, if wanted. */
INLINE void make_steps(Plane step, Plane drive, float (*slope)[BLOCK], Plane x, const Block *b, Chunk *chunk) {
    const Scan *s = b->scan;
    vf largest = splat(0.0f);
    for (int i = 0; i < chunk->count; i++) {
        int valid = !s->valid || s->valid[b->row * s->length + time_of(chunk, i)];
        for (int c = 0; c < BLOCK; c += LANES) {
            vf raw = load(&step[i][c]) + load(&b->bias[c]);
            vf e = exp_minus_magnitude(raw);
            vf d = valid ? softplus_from(e, raw) : splat(0.0f);
            if (slope) store(&slope[i][c], valid ? sigmoid_from(e, raw) : splat(0.0f));
            store(&step[i][c], d);
            store(&drive[i][c], d * load(&x[i][c]));
            largest = larger(largest, d);
        }
    }
    float exponent = 0.0f;
    for (int lane = 0; lane < LANES; lane++) exponent = !(largest[lane] <= exponent) ? largest[lane] : exponent;
    chunk->careful |= !(exponent * b->largest_A < 126.0f);
}

/* to = D x. */
static void skip_plane(Plane to, Plane x, const Block *b, const Chunk *chunk) {
    for (int i = 0; i < chunk->count; i++)
        for (int c = 0; c < BLOCK; c += LANES) store(&to[i][c], load(&b->D[c]) * load(&x[i][c]));
}

/* plane *= silu(gate). */
static void apply_gate(Plane plane, Plane gate, const Chunk *chunk) {
    for (int i = 0; i < chunk->count; i++)
        for (int c = 0; c < BLOCK; c += LANES) {
            vf g = load(&gate[i][c]);
            store(&plane[i][c], load(&plane[i][c]) * g * sigmoid(g));
        }
}

INLINE vf decay_of(vf exponent, const int careful, float keep) {
    return careful ? exp2_of(exponent) * keep : exp2_near(exponent);
}

/* Run `states` states of a few vectors of channels through a chunk; adds to y, replaces h. */
INLINE void run_states(
    const int states, const int careful, const Block *b, const Chunk *chunk, int64_t n, int c, float *h,
    Plane step, Plane drive, Plane y
) {
    const int64_t N = b->scan->states, stride = chunk->direction * N;
    const float *B = b->scan->B + (b->row * b->scan->length + chunk->first) * N + n;
    const float *C = b->scan->C + (b->row * b->scan->length + chunk->first) * N + n;
    vf A[FORWARD_STATES][FORWARD_VECTORS], state[FORWARD_STATES][FORWARD_VECTORS];
    for (int j = 0; j < states; j++)
        for (int v = 0; v < FORWARD_VECTORS; v++) {
            A[j][v] = load(&b->A[(n + j) * BLOCK + c + v * LANES]);
            state[j][v] = load(&h[(n + j) * BLOCK + c + v * LANES]);
        }
    for (int i = 0; i < chunk->count; i++, B += stride, C += stride) {
        for (int v = 0; v < FORWARD_VECTORS; v++) {
            int k = c + v * LANES;
            vf d = load(&step[i][k]), u = load(&drive[i][k]), sum = load(&y[i][k]);
            for (int j = 0; j < states; j++) {
                state[j][v] = decay_of(d * A[j][v], careful, chunk->keep[i]) * state[j][v] + u * B[j];
                sum += state[j][v] * C[j];
            }
            store(&y[i][k], sum);
        }
    }
    for (int j = 0; j < states; j++)
        for (int v = 0; v < FORWARD_VECTORS; v++) store(&h[(n + j) * BLOCK + c + v * LANES], state[j][v]);
}

INLINE void run_chunk(const int careful, const Block *b, const Chunk *chunk, float *h, Plane step, Plane drive, Plane y) {
    for (int c = 0; c < BLOCK; c += FORWARD_VECTORS * LANES) {
        int64_t n = 0;
        for (; n + FORWARD_STATES <= b->scan->states; n += FORWARD_STATES)
            run_states(FORWARD_STATES, careful, b, chunk, n, c, h, step, drive, y);
        for (; n < b->scan->states; n++) run_states(1, careful, b, chunk, n, c, h, step, drive, y);
    }
}

static void scan_block(const Block *b, float *h) {
    const Scan *s = b->scan;
    Plane x, step, drive, y;
    memset(h, 0, s->states * BLOCK * sizeof(float));
    for (int64_t number = 0; number < n_chunks(s); number++) {
        Chunk chunk = chunk_of(b, number);
        if (s->kept) memcpy(kept_state(s, b->row, b->block, number), h, s->states * BLOCK * sizeof(float));
        fetch_plane(&s->x, b, &chunk, chunk.direction * STEPS);
        fetch_plane(&s->delta, b, &chunk, chunk.direction * STEPS);
        fetch_plane(&s->gate, b, &chunk, chunk.direction * STEPS);
        load_plane(x, &s->x, b, &chunk);
        load_plane(step, &s->delta, b, &chunk);
        make_steps(step, drive, NULL, x, b, &chunk);
        skip_plane(y, x, b, &chunk);
        if (chunk.careful) run_chunk(1, b, &chunk, h, step, drive, y);
        else run_chunk(0, b, &chunk, h, step, drive, y);
        if (s->gate.data) {
            load_plane(x, &s->gate, b, &chunk);
            apply_gate(y, x, &chunk);
        }
        store_plane(&s->y, b, &chunk, y);
    }
}

/* What the gradient needs of a chunk, and what it gathers. */
typedef struct {
    Plane step, drive, dy;
    Plane d_drive, d_step; /* gradients of d_t x_t, and of d_t through the decay */
    float decay[BACKWARD_STATES][STEPS][BLOCK] ALIGNED;   /* a_t */
    float decayed[BACKWARD_STATES][STEPS][BLOCK] ALIGNED; /* a_t h_(t-1) */
    float dB[BACKWARD_STATES][STEPS][LANES] ALIGNED, dC[BACKWARD_STATES][STEPS][LANES] ALIGNED;
    Plane y;               /* before the gate; wanted for the gate's gradient only */
    Plane x, slope, gate, d_out;
    float d_bias[BLOCK] ALIGNED, d_D[BLOCK] ALIGNED;
} Work;

/* The sum over lanes of each step, to one state's column of (length, states). */
static void store_sums(float *to, int64_t stride, float (*sums)[LANES], const Chunk *chunk) {
    float total[STEPS] ALIGNED;
    for (int i = 0; i < STEPS; i += LANES) store(&total[i], sums_over_lanes(&sums[i]));
    for (int i = 0; i < chunk->count; i++) to[i * stride] = total[i];
}

/* A few states of a few vectors of channels: forward through a chunk, then back. */
INLINE void run_states_back(
    const int states, const int careful, const int gated, const Block *b, const Chunk *chunk, int64_t n, int c,
    const float *h, float *carried, float *dA, Work *w
) {
    enum { V = BACKWARD_VECTORS, S = BACKWARD_STATES };
    const int64_t N = b->scan->states, stride = chunk->direction * N;
    const float *B = b->scan->B + (b->row * b->scan->length + chunk->first) * N + n;
    const float *C = b->scan->C + (b->row * b->scan->length + chunk->first) * N + n;
    vf A[S][V], state[S][V];
    for (int j = 0; j < states; j++)
        for (int v = 0; v < V; v++) {
            int64_t at = (n + j) * BLOCK + c + v * LANES;
            A[j][v] = load(&b->A[at]), state[j][v] = load(&h[at]);
        }
    for (int i = 0; i < chunk->count; i++, B += stride, C += stride) {
        vf sum[S];
        for (int j = 0; j < states; j++) sum[j] = c ? load(w->dC[j][i]) : splat(0.0f);
        for (int v = 0; v < V; v++) {
            int k = c + v * LANES;
            vf d = load(&w->step[i][k]), u = load(&w->drive[i][k]), dy = load(&w->dy[i][k]);
            vf y = gated ? load(&w->y[i][k]) : splat(0.0f);
            for (int j = 0; j < states; j++) {
                vf decay = decay_of(d * A[j][v], careful, chunk->keep[i]);
                vf decayed = decay * state[j][v];
                state[j][v] = decayed + u * B[j];
                sum[j] += dy * state[j][v];
                store(&w->decay[j][i][k], decay);
                store(&w->decayed[j][i][k], decayed);
                if (gated) y += state[j][v] * C[j];
            }
            if (gated) store(&w->y[i][k], y);
        }
        for (int j = 0; j < states; j++) store(w->dC[j][i], sum[j]);
    }
    vf carry[S][V], sum_A[S][V];
    for (int j = 0; j < states; j++)
        for (int v = 0; v < V; v++) {
            int64_t at = (n + j) * BLOCK + c + v * LANES;
            carry[j][v] = load(&carried[at]), sum_A[j][v] = load(&dA[at]);
        }
    for (int i = chunk->count - 1; i >= 0; i--) {
        B -= stride, C -= stride;
        vf sum[S];
        for (int j = 0; j < states; j++) sum[j] = c ? load(w->dB[j][i]) : splat(0.0f);
        for (int v = 0; v < V; v++) {
            int k = c + v * LANES;
            vf d = load(&w->step[i][k]), u = load(&w->drive[i][k]), dy = load(&w->dy[i][k]);
            vf d_drive = load(&w->d_drive[i][k]), d_step = load(&w->d_step[i][k]);
            for (int j = 0; j < states; j++) {
                vf dh = carry[j][v] + dy * C[j];
                sum[j] += dh * u;
                d_drive += dh * B[j];
                vf d_exponent = dh * load(&w->decayed[j][i][k]);
                d_step += d_exponent * A[j][v];
                sum_A[j][v] += d_exponent * d;
                carry[j][v] = dh * load(&w->decay[j][i][k]);
            }
            store(&w->d_drive[i][k], d_drive);
            store(&w->d_step[i][k], d_step);
        }
        for (int j = 0; j < states; j++) store(w->dB[j][i], sum[j]);
    }
    for (int j = 0; j < states; j++)
        for (int v = 0; v < V; v++) {
            int64_t at = (n + j) * BLOCK + c + v * LANES;
            store(&carried[at], carry[j][v]), store(&dA[at], sum_A[j][v]);
        }
}

INLINE void run_group_back(
    const int states, const int careful, const int gated, const Block *b, const Chunk *chunk, int64_t n,
    const float *h, float *carried, float *dA, Work *w
) {
    const Scan *s = b->scan;
    int64_t sums = ((b->block * s->batch + b->row) * s->length + chunk->first) * s->states + n;
    for (int c = 0; c < BLOCK; c += BACKWARD_VECTORS * LANES)
        run_states_back(states, careful, gated, b, chunk, n, c, h, carried, dA, w);
    for (int j = 0; j < states; j++) {
        store_sums(s->dB + sums + j, chunk->direction * s->states, w->dB[j], chunk);
        store_sums(s->dC + sums + j, chunk->direction * s->states, w->dC[j], chunk);
    }
}

INLINE void run_chunk_back(
    const int careful, const int gated, const Block *b, const Chunk *chunk, const float *h, float *carried, float *dA,
    Work *w
) {
    int64_t n = 0;
    for (; n + BACKWARD_STATES <= b->scan->states; n += BACKWARD_STATES)
        run_group_back(BACKWARD_STATES, careful, gated, b, chunk, n, h, carried, dA, w);
    for (; n < b->scan->states; n++) run_group_back(1, careful, gated, b, chunk, n, h, carried, dA, w);
}

/* The gate becomes its gradient, that of g sigmoid(g) y. */
static void gate_back(Plane gate, Plane y, Plane d_out, const Chunk *chunk) {
    for (int i = 0; i < chunk->count; i++)
        for (int c = 0; c < BLOCK; c += LANES) {
            vf g = load(&gate[i][c]), sig = sigmoid(g);
            store(&gate[i][c], load(&d_out[i][c]) * load(&y[i][c]) * sig * (1.0f + g * (1.0f - sig)));
        }
}

/* Once all states are done, d_drive becomes the gradient of x, d_step that of the raw delta. */
static void finish_chunk(const Block *b, const Chunk *chunk, Work *w) {
    for (int c = 0; c < BLOCK; c += LANES) {
        vf bias = load(&w->d_bias[c]), skip = load(&w->d_D[c]), D = load(&b->D[c]);
        for (int i = 0; i < chunk->count; i++) {
            vf x = load(&w->x[i][c]), dy = load(&w->dy[i][c]), d_drive = load(&w->d_drive[i][c]);
            vf d_delta = (load(&w->d_step[i][c]) * LN_2 + d_drive * x) * load(&w->slope[i][c]);
            skip += dy * x;
            bias += d_delta;
            store(&w->d_step[i][c], d_delta);
            store(&w->d_drive[i][c], d_drive * load(&w->step[i][c]) + D * dy);
        }
        store(&w->d_bias[c], bias), store(&w->d_D[c], skip);
    }
}

static void start_chunk_back(const Block *b, Chunk *chunk, Work *w) {
    const Scan *s = b->scan;
    const Rows *inputs[] = {&s->x, &s->delta, &s->dy, &s->gate};
    for (int k = 0; k < 4; k++) fetch_plane(inputs[k], b, chunk, -chunk->direction * STEPS);
    load_plane(w->x, &s->x, b, chunk);
    load_plane(w->step, &s->delta, b, chunk);
    load_plane(w->dy, &s->dy, b, chunk);
    make_steps(w->step, w->drive, w->slope, w->x, b, chunk);
    memset(w->d_drive, 0, sizeof(Plane));
    memset(w->d_step, 0, sizeof(Plane));
    if (!s->gate.data) return;
    load_plane(w->gate, &s->gate, b, chunk);
    memcpy(w->d_out, w->dy, sizeof(Plane));
    apply_gate(w->dy, w->gate, chunk);
    skip_plane(w->y, w->x, b, chunk);
}

static void scan_block_back(const Block *b, float *carried, float *dA, Work *w) {
    const Scan *s = b->scan;
    memset(carried, 0, s->states * BLOCK * sizeof(float));
    memset(dA, 0, s->states * BLOCK * sizeof(float));
    memset(w->d_bias, 0, sizeof(w->d_bias));
    memset(w->d_D, 0, sizeof(w->d_D));
    for (int64_t number = n_chunks(s) - 1; number >= 0; number--) {
        Chunk chunk = chunk_of(b, number);
        const float *h = kept_state(s, b->row, b->block, number);
        start_chunk_back(b, &chunk, w);
        if (s->gate.data && chunk.careful) run_chunk_back(1, 1, b, &chunk, h, carried, dA, w);
        else if (s->gate.data) run_chunk_back(0, 1, b, &chunk, h, carried, dA, w);
        else if (chunk.careful) run_chunk_back(1, 0, b, &chunk, h, carried, dA, w);
        else run_chunk_back(0, 0, b, &chunk, h, carried, dA, w);
        finish_chunk(b, &chunk, w);
        store_plane(&s->dx, b, &chunk, w->d_drive);
        store_plane(&s->d_delta, b, &chunk, w->d_step);
        if (!s->gate.data) continue;
        gate_back(w->gate, w->y, w->d_out, &chunk);
        store_plane(&s->d_gate, b, &chunk, w->gate);
    }
    for (int c = 0; c < b->count; c++) {
        int64_t at = b->row * s->channels + b->channel + c;
        s->d_bias[at] = w->d_bias[c];
        s->d_D[at] = w->d_D[c];
        for (int64_t n = 0; n < s->states; n++) s->dA[at * s->states + n] = dA[n * BLOCK + c];
    }
}

/* Takes blocks until none is left; threads that share `next` share the work. Returns 0, or 1 without memory. */
int LEVEL_NAME(dnadiff_scan)(const Scan *scan, int64_t *next, int backward) {
    int64_t tasks = scan->batch * n_blocks(scan), matrix = scan->states * BLOCK, task;
    Work *work = aligned_room(sizeof(Work) + 3 * matrix * sizeof(float));
    if (!work) return 1;
    float *room = (float *)(work + 1);
    unsigned mode = flush_denormals();
    while ((task = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED)) < tasks) {
        Block b;
        start_block(&b, scan, task, room);
        if (backward) scan_block_back(&b, room + matrix, room + 2 * matrix, work);
        else scan_block(&b, room + matrix);
    }
    restore_denormals(mode);
    free(work);
    return 0;
}
