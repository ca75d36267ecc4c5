// Package proc runs a program and tells what it used: CPU time, peak memory and
// bytes read from the device, with those of the children it waited for.
//
// CPU and reads are the kernel's figures at the program's end (ru_inblock is what
// /proc/PID/io calls read_bytes). For memory the kernel's figure also holds what
// this process had when it started the program, so a figure that is not above
// that is no answer; then the largest value of VmHWM in /proc/PID/status counts,
// looked up every 50 ms. A program that ends before the first look has no figure,
// and what one allocates in its last 50 ms may be missed.
package proc
