// Everything that a page map's members are defined by; included only where a variant is instantiated.
#pragma once

#include "impl/page_map/page_map_fault.hpp"
#include "impl/page_map/page_map_info.hpp"
#include "impl/page_map/page_map_load.hpp"
#include "impl/page_map/page_map_regions.hpp"
#include "impl/page_map/page_map_removal.hpp"
#include "impl/page_map/page_map_writeback.hpp"
