// Memory that is taken before anything else and kept, so that what is allocated later lies elsewhere.
//
// Where a heap begins decides which cache sets and pages its objects share, which can be worth per cents. A launcher
// that varies it from launch to launch turns that luck into variance, which an interval shows. After Mytkowicz, Diwan,
// Hauswirth and Sweeney, "Producing wrong data without doing anything obviously wrong!" (ASPLOS 2009).
//
// Thread safety: none needed; made and destroyed by main.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace page_map_lab::bench {

class HeapPadding {
public:
    /// Half of `bytes` in one piece, the rest in small ones of every size class up to 4096 bytes; nothing is touched.
    /// Throws std::bad_alloc.
    explicit HeapPadding(std::size_t bytes);

    std::size_t pieces() const { return pieces_.size(); }

private:
    std::vector<std::unique_ptr<std::byte[]>> pieces_;
};

}  // namespace page_map_lab::bench
