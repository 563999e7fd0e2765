// A DDR4 controller and its DRAM, command by command, in clocks of the controller (half the DRAM clock).
//
// Transfers of 64 bytes (BL8 on 64 bits) wait in a queue for reads and one for writes. In each clock at most one
// command goes out: the oldest transfer whose row is open; else a row is opened or closed for the oldest transfer that
// needs it, but no row is closed while transfers of the queue hit it (up to `hit_limit` in a row). Reads go before
// writes until writes have waited for `write_starve` clocks; then up to `write_run` of them go in one turn.

#pragma once
#include <cstdint>
#include <cstring>

namespace sim {

constexpr unsigned kBanks = 16;              // of all groups
constexpr unsigned kQueue = 64;              // transfers of a queue
constexpr unsigned kTransfer = 64;           // bytes of a transfer

// In the order of `DdrParameters` in ddr_parameters.py, which explains and checks them; times in controller clocks.
struct DdrParameters {
    uint32_t clock_khz, controller_khz;
    uint32_t groups, group_bit, banks, bank_bit, row_bit;
    uint32_t activate_to_column, precharge_to_activate, activate_to_precharge, activate_to_activate, four_activates,
        activates_same_group, activates, columns_same_group, columns, read_to_precharge, write_to_precharge,
        read_to_write, write_to_read_same_group, write_to_read, refresh_interval, refresh_time;
    uint32_t read_entries, write_entries, hit_limit, write_starve, write_run, idle_gap;
    uint32_t read_latency, request_latency, response_latency;
    uint32_t line_of_port[4], line_transfers, line_clocks, port_pieces, piece_beats, write_transfers;
};

// One transfer; `line` and `tag` say whose it is.
struct Transfer {
    uint32_t row;
    uint8_t bank, line, tag;
};

class TransferQueue {
  public:
    unsigned count = 0;
    const Transfer& operator[](unsigned n) const { return entries_[n]; }
    void push(const Transfer& transfer) { entries_[count++] = transfer; }
    Transfer pop(unsigned n) {
        const Transfer transfer = entries_[n];
        memmove(entries_ + n, entries_ + n + 1, (--count - n) * sizeof(Transfer));
        return transfer;
    }

  private:
    Transfer entries_[kQueue];
};

class DdrController {
  public:
    uint64_t now = 0;
    TransferQueue reads, writes;

    explicit DdrController(const DdrParameters& p) : p_(p), next_refresh_(p.refresh_interval) {}

    Transfer place(uint64_t address, unsigned line, unsigned tag) const {
        const unsigned group = address >> p_.group_bit & (p_.groups - 1), bank = address >> p_.bank_bit & (p_.banks - 1);
        return {uint32_t(address >> p_.row_bit), uint8_t(bank * p_.groups + group), uint8_t(line), uint8_t(tag)};
    }

    // One clock; true if the column command of a read went out, which is then `*read`.
    bool tick(Transfer* read) {
        now++;
        if (now < blocked_) return false;
        if (now >= next_refresh_) return refresh(), false;
        turn();
        if (!(writing_ ? writes : reads).count) return false;
        const int column = serve(read);
        if (column < 0) row();
        return column > 0;
    }

  private:
    struct Bank {
        bool open;
        uint32_t row, hits;
        uint64_t activate, precharge, column;        // earliest clocks
    };
    // Earliest clocks of a column command of one kind: at all, and in each group.
    struct Earliest {
        uint64_t any, group[kBanks];
    };

    static void later(uint64_t& time, uint64_t than) {
        if (time < than) time = than;
    }

    // Waits until every bank may be closed, then closes all and refreshes.
    void refresh() {
        const unsigned banks = p_.groups * p_.banks;
        uint64_t start = now;
        for (unsigned n = 0; n < banks; n++) {
            if (banks_[n].open && banks_[n].precharge > now) return;
            later(start, banks_[n].open ? now + p_.precharge_to_activate : banks_[n].activate);
        }
        blocked_ = start + p_.refresh_time;
        for (unsigned n = 0; n < banks; n++) banks_[n].open = false, banks_[n].activate = blocked_;
        next_refresh_ += p_.refresh_interval;
    }

    // Turns the data bus round.
    void turn() {
        idle_ = reads.count ? 0 : idle_ + 1;
        if (writing_) {
            if (!writes.count || (reads.count && (!starving_ || served_ >= p_.write_run))) writing_ = false, starved_ = 0;
            return;
        }
        starved_ = writes.count ? starved_ + 1 : 0;
        starving_ = starved_ >= p_.write_starve;
        if (starving_ || (writes.count && idle_ >= p_.idle_gap)) writing_ = true, served_ = 0;
    }

    // Sends the column command of the oldest transfer that can have it; 1 for a read, 0 for a write, else -1.
    int serve(Transfer* read) {
        TransferQueue& queue = writing_ ? writes : reads;
        Earliest& earliest = writing_ ? write_ : read_;
        if (now < earliest.any) return -1;
        for (unsigned n = 0; n < queue.count; n++) {
            Bank& bank = banks_[queue[n].bank];
            const unsigned group = queue[n].bank % p_.groups;
            if (!bank.open || bank.row != queue[n].row || now < bank.column || now < earliest.group[group]) continue;
            const Transfer transfer = queue.pop(n);
            bank.hits++;
            later(earliest.any, now + p_.columns);
            later(earliest.group[group], now + p_.columns_same_group);
            if (writing_) {
                served_++;
                later(bank.precharge, now + p_.write_to_precharge);
                later(read_.any, now + p_.write_to_read);
                later(read_.group[group], now + p_.write_to_read_same_group);
                return 0;
            }
            later(bank.precharge, now + p_.read_to_precharge);
            later(write_.any, now + p_.read_to_write);
            *read = transfer;
            return 1;
        }
        return -1;
    }

    // Opens or closes one row.
    void row() {
        const TransferQueue& queue = writing_ ? writes : reads;
        uint32_t hit = 0, seen = 0;                  // banks whose open row is wanted; that an older transfer waits for
        for (unsigned n = 0; n < queue.count; n++) {
            const Bank& bank = banks_[queue[n].bank];
            if (bank.open && bank.row == queue[n].row && bank.hits < p_.hit_limit) hit |= 1u << queue[n].bank;
        }
        for (unsigned n = 0; n < queue.count; n++) {
            const Transfer& transfer = queue[n];
            Bank& bank = banks_[transfer.bank];
            const uint32_t bit = 1u << transfer.bank;
            if ((seen | hit) & bit || (bank.open && bank.row == transfer.row)) continue;
            seen |= bit;
            if (bank.open) {
                if (now < bank.precharge) continue;
                bank.open = false;
                later(bank.activate, now + p_.precharge_to_activate);
                return;
            }
            const unsigned group = transfer.bank % p_.groups;
            if (now < bank.activate || now < activate_.any || now < activate_.group[group] || now < window_[oldest_]) continue;
            bank.open = true, bank.row = transfer.row, bank.hits = 0;
            bank.column = now + p_.activate_to_column;
            later(bank.precharge, now + p_.activate_to_precharge);
            bank.activate = now + p_.activate_to_activate;
            activate_.any = now + p_.activates;
            activate_.group[group] = now + p_.activates_same_group;
            window_[oldest_] = now + p_.four_activates;
            oldest_ = (oldest_ + 1) % 4;
            return;
        }
    }

    DdrParameters p_;
    Bank banks_[kBanks] = {};
    Earliest read_ = {}, write_ = {}, activate_ = {};
    uint64_t window_[4] = {};                        // when each of the last four activates leaves the window
    unsigned oldest_ = 0;
    uint64_t blocked_ = 0, next_refresh_;
    bool writing_ = false, starving_ = false;
    unsigned served_ = 0, idle_ = 0, starved_ = 0;
};

}  // namespace sim
