# Writes the revision the tree is at into OUTPUT, at every build; the file changes only when the answer does.
execute_process(COMMAND git -C "${SOURCE_DIR}" rev-parse HEAD
  OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(revision "")
endif()
# Records are not part of what a binary is made of.
execute_process(COMMAND git -C "${SOURCE_DIR}" status --porcelain -- . ":(exclude)results"
  OUTPUT_VARIABLE changes OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(changes)
  set(dirty true)
else()
  set(dirty false)
endif()
set(text "#define PAGE_MAP_LAB_GIT_REVISION \"${revision}\"\n#define PAGE_MAP_LAB_GIT_DIRTY ${dirty}\n")
if(EXISTS "${OUTPUT}")
  file(READ "${OUTPUT}" old)
endif()
if(NOT "${old}" STREQUAL "${text}")
  file(WRITE "${OUTPUT}" "${text}")
endif()
