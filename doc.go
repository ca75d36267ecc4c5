// Package dfetch is the root of the module. It holds no code, only the tests of how the packages fit together:
// which may import which, and which must stay free of clocks, sockets and files.
package dfetch
