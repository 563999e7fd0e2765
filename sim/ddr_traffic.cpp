// Traffic for the DDR model: streams of reads and writes on its ports, and when each is done.

#include <memory>
#include <vector>

#include "ddr_model.h"

namespace {

using sim::DdrModel;
using sim::DdrParameters;

}  // namespace

extern "C" {

// In the order of `_Stream` in ddr.py, which explains it.
struct Stream {
    uint64_t base, bytes, start, stripe, distance;
    int64_t follows;
    uint64_t ratio;
    uint32_t port, write, burst_bytes, beat_bytes, outstanding;
};

// Cycles in which a stream's first and last beat passed.
struct Times {
    uint64_t first, last;
};

// Runs `count` streams until all are done or `limit` cycles have passed; the number of cycles. No stream of reads gets
// `window` bytes ahead of another; 0: as far as it can.
uint64_t ddr_run(const DdrParameters* parameters, const Stream* streams, Times* times, unsigned count, uint64_t window,
                 uint64_t limit) {
    const auto model = std::make_unique<DdrModel>(*parameters);
    struct State {
        uint64_t asked = 0, moved = 0;               // bytes
        unsigned bursts = 0;                         // reads or writes on the way
        std::vector<uint64_t> ends;                  // of the bursts on the way
        uint64_t finished = 0;                       // writes: bursts acknowledged
    };
    std::vector<State> states(count);
    unsigned left = count;
    uint64_t acknowledged[sim::kPorts] = {};
    const auto place = [](const Stream& s, uint64_t byte) {
        return s.base + (s.stripe ? byte / s.stripe * s.distance + byte % s.stripe : byte);
    };
    uint64_t now = 0;
    for (; left && now < limit; now++) {
        uint64_t least = ~uint64_t(0);
        for (unsigned n = 0; n < count; n++)
            if (!streams[n].write && states[n].moved < streams[n].bytes && states[n].moved < least) least = states[n].moved;
        for (unsigned n = 0; n < count; n++) {
            const Stream& s = streams[n];
            State& state = states[n];
            if (now < s.start || state.finished == s.bytes) continue;
            if (!s.write) {
                if (state.asked < s.bytes && state.ends.size() < s.outstanding && model->room(s.port)) {
                    const uint64_t rest = s.bytes - state.asked, size = rest < s.burst_bytes ? rest : s.burst_bytes;
                    model->read(s.port, place(s, state.asked), size, s.beat_bytes);
                    state.ends.push_back(state.asked += size);
                }
                if (state.moved < state.asked && (!window || state.moved < least + window)
                    && model->readable(s.port, s.beat_bytes)) {
                    model->take(s.port, s.beat_bytes);
                    if (!state.moved) times[n].first = now;
                    state.moved += s.beat_bytes;
                    if (state.moved >= state.ends.front()) state.ends.erase(state.ends.begin());
                    if (state.moved >= s.bytes) times[n].last = now, state.finished = s.bytes, left--;
                }
                continue;
            }
            // A burst is begun when all its data exist; beats of the bursts go one a cycle.
            const uint64_t rest = s.bytes - state.moved / s.burst_bytes * s.burst_bytes;
            const uint64_t size = rest < s.burst_bytes ? rest : s.burst_bytes;
            const bool begun = state.moved % s.burst_bytes;
            const uint64_t needed = (state.moved / s.burst_bytes * s.burst_bytes + size) * s.ratio;
            const bool exist = s.follows < 0 || states[s.follows].moved >= needed
                               || states[s.follows].moved >= streams[s.follows].bytes;
            if (state.moved < s.bytes && (begun || (exist && state.bursts < s.outstanding)) && model->writable(s.port)) {
                const uint64_t in_burst = state.moved % s.burst_bytes, end = in_burst + s.beat_bytes;
                if (!state.moved) times[n].first = now;
                model->write(s.port, place(s, state.moved), s.beat_bytes, end >= size);
                state.moved += s.beat_bytes;
                if (end >= size) state.bursts++;
            }
            if (model->written(s.port) > acknowledged[s.port]) {
                acknowledged[s.port]++, state.bursts--;
                if (state.moved >= s.bytes && !state.bursts) times[n].last = now, state.finished = s.bytes, left--;
            }
        }
        model->tick();
    }
    return now;
}

}  // extern "C"
