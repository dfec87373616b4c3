// std::priority_queue of the same rows as ours; event_queues.py compiles it and calls it by ctypes.
#include <cstdint>
#include <queue>
#include <vector>

struct Row {
    double time;
    int64_t order, payload;
    double tangent;
};

struct Later {
    bool operator()(const Row& a, const Row& b) const {
        return a.time > b.time || (a.time == b.time && a.order > b.order);
    }
};

struct Queue : std::priority_queue<Row, std::vector<Row>, Later> {
    explicit Queue(int64_t room) { c.reserve(room); }
};

struct Digest {
    uint64_t payloads;
    double tangents;

    void add(const Row& row) {
        payloads = 31 * payloads + static_cast<uint64_t>(row.payload);
        tangents += row.tangent;
    }
};

extern "C" {

Queue* make(int64_t room) { return new Queue(room); }

void destroy(Queue* queue) { delete queue; }

void fill(Queue* queue, const double* times, int64_t n, double slope) {
    for (int64_t i = 0; i < n; ++i) queue->push({times[i], i, i, slope * times[i]});
}

void drain(Queue* queue, Digest* digest) {
    while (!queue->empty()) {
        digest->add(queue->top());
        queue->pop();
    }
}

void cycle(Queue* queue, const double* times, int64_t size, int64_t n, double slope,
           Digest* digest) {
    for (int64_t start = 0; start < size; start += n) {
        fill(queue, times + start, n, slope);
        drain(queue, digest);
    }
}

void hold(Queue* queue, const double* delays, int64_t n, double slope, Digest* digest) {
    int64_t order = queue->size();
    for (int64_t i = 0; i < n; ++i, ++order) {
        const Row row = queue->top();
        digest->add(row);
        queue->pop();
        const double time = row.time + delays[i];
        queue->push({time, order, order, slope * time});
    }
}
}
