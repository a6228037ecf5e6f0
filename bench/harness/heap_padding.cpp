#include "bench/harness/heap_padding.hpp"

namespace page_map_lab::bench {

HeapPadding::HeapPadding(std::size_t bytes) {
    const auto keep = [this](std::size_t size) { pieces_.push_back(std::make_unique_for_overwrite<std::byte[]>(size)); };
    if (bytes >= 2) {
        keep(bytes / 2);
    }
    std::size_t left = bytes - bytes / 2;
    for (std::size_t size = 16; left >= size; size = size == 4096 ? 16 : size * 2) {
        keep(size);
        left -= size;
    }
}

}  // namespace page_map_lab::bench
