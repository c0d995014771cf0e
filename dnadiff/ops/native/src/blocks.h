/* A block of neighbouring channels of one row, and the chunks of time in which kernels go through it. */
#ifndef DNADIFF_BLOCKS_H
#define DNADIFF_BLOCKS_H

#include "kernels.h"
#include "vec.h"

/* What a chunk of a block holds, in the order of the kernel. The row more keeps planes from lying a power of two apart,
 * where they would push each other out of cache. */
typedef float Plane[STEPS + 1][BLOCK] ALIGNED;

typedef struct {
    int64_t row, number, channel; /* number: of the block within its row */
    int count;                    /* channels, at most BLOCK */
} Block;

typedef struct {
    int64_t number, length, first, direction; /* times are first, first + direction, ... of `length` */
    int count;                                /* steps, at most STEPS */
} Chunk;

static inline int64_t n_chunks(int64_t length) { return (length + STEPS - 1) / STEPS; }

static inline int64_t n_blocks(int64_t channels) { return (channels + BLOCK - 1) / BLOCK; }

static inline Block block_of(int64_t task, int64_t channels) {
    Block block = {.row = task / n_blocks(channels), .number = task % n_blocks(channels)};
    block.channel = block.number * BLOCK;
    int64_t left = channels - block.channel;
    block.count = left < BLOCK ? (int)left : BLOCK;
    return block;
}

static inline Chunk chunk_of(int64_t number, int64_t length, int reverse) {
    int64_t start = number * STEPS, left = length - start;
    return (Chunk){
        .number = number,
        .length = length,
        .first = reverse ? length - 1 - start : start,
        .direction = reverse ? -1 : 1,
        .count = left < STEPS ? (int)left : STEPS,
    };
}

INLINE int64_t time_of(const Chunk *chunk, int64_t step) { return chunk->first + chunk->direction * step; }

/* One value per channel; zero beyond the last channel, and where there are none. */
static inline void load_channels(float *to, const float *from, const Block *b) {
    for (int c = 0; c < BLOCK; c++) to[c] = from && c < b->count ? from[b->channel + c] : 0.0f;
}

static inline void load_step(float *to, const Rows *rows, const Block *b, int64_t time) {
    load_row(to, place(rows, b->row, time, b->channel), (int)rows->is_bf16, b->count, BLOCK);
}

static inline void load_plane(Plane to, const Rows *rows, const Block *b, const Chunk *chunk) {
    for (int i = 0; i < chunk->count; i++) load_step(to[i], rows, b, time_of(chunk, i));
}

static inline void store_plane(const Rows *rows, const Block *b, const Chunk *chunk, Plane from) {
    for (int i = 0; i < chunk->count; i++) {
        void *to = place(rows, b->row, time_of(chunk, i), b->channel);
        store_row(to, (int)rows->is_bf16, from[i], b->count, BLOCK);
    }
}

/* Asks for the chunk `ahead` steps from this one, so that it is in cache in time. */
static inline void fetch_plane(const Rows *rows, const Block *b, const Chunk *chunk, int64_t ahead) {
    int64_t bytes = b->count * (rows->is_bf16 ? 2 : 4);
    for (int i = 0; rows->data && i < STEPS; i++) {
        int64_t time = time_of(chunk, ahead + i);
        if (time < 0 || time >= chunk->length) continue;
        const char *at = place(rows, b->row, time, b->channel);
        for (int64_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch(at + byte, 0, 2);
    }
}

#endif
