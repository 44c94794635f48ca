/* VMs for fuzz targets: a folder of their own, gone when the process ends. */
#ifndef TESTS_FUZZ_VM_H
#define TESTS_FUZZ_VM_H

/* Make the folder, once, and have the library use it. */
void fuzz_folder(void);

#endif
