//go:build amd64 && !purego

#include "textflag.h"

// Sixteen compressions side by side: a register holds one word of each lane. The state is Z0 to Z15, the
// block's message Z16 to Z31. The chaining values lie on the stack, a word of all lanes each 64 bytes.

DATA ·iv+0(SB)/4, $0x6A09E667
DATA ·iv+4(SB)/4, $0xBB67AE85
DATA ·iv+8(SB)/4, $0x3C6EF372
DATA ·iv+12(SB)/4, $0xA54FF53A
DATA ·iv+16(SB)/4, $0x510E527F
DATA ·iv+20(SB)/4, $0x9B05688C
DATA ·iv+24(SB)/4, $0x1F83D9AB
DATA ·iv+28(SB)/4, $0x5BE0CD19
DATA ·iv+32(SB)/4, $1
DATA ·iv+36(SB)/4, $64
GLOBL ·iv(SB), RODATA|NOPTR, $40

// ADD4 adds y to x, for four columns.
#define ADD4(x0, x1, x2, x3, y0, y1, y2, y3) \
	VPADDD y0, x0, x0; VPADDD y1, x1, x1; VPADDD y2, x2, x2; VPADDD y3, x3, x3

// MIX4 is d = (d xor a) rotated right by n, for four columns.
#define MIX4(n, d0, d1, d2, d3, a0, a1, a2, a3) \
	VPXORD a0, d0, d0; VPXORD a1, d1, d1; VPXORD a2, d2, d2; VPXORD a3, d3, d3; \
	VPRORD $n, d0, d0; VPRORD $n, d1, d1; VPRORD $n, d2, d2; VPRORD $n, d3, d3

// G4 is the function G of four columns or diagonals.
#define G4(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3, x0, x1, x2, x3, y0, y1, y2, y3) \
	ADD4(a0, a1, a2, a3, x0, x1, x2, x3); \
	ADD4(a0, a1, a2, a3, b0, b1, b2, b3); \
	MIX4(16, d0, d1, d2, d3, a0, a1, a2, a3); \
	ADD4(c0, c1, c2, c3, d0, d1, d2, d3); \
	MIX4(12, b0, b1, b2, b3, c0, c1, c2, c3); \
	ADD4(a0, a1, a2, a3, y0, y1, y2, y3); \
	ADD4(a0, a1, a2, a3, b0, b1, b2, b3); \
	MIX4(8, d0, d1, d2, d3, a0, a1, a2, a3); \
	ADD4(c0, c1, c2, c3, d0, d1, d2, d3); \
	MIX4(7, b0, b1, b2, b3, c0, c1, c2, c3)

// ROUND is one round with the message in this order.
#define ROUND(m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15) \
	G4(Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15, m0, m2, m4, m6, m1, m3, m5, m7); \
	G4(Z0, Z1, Z2, Z3, Z5, Z6, Z7, Z4, Z10, Z11, Z8, Z9, Z15, Z12, Z13, Z14, m8, m10, m12, m14, m9, m11, m13, m15)

// LOAD4 loads a block of each of the lanes n to n+3 and transposes words within: of u0 to u3, u(j) has
// word 4q+j of the four lanes in its quarter q. SI is the list of the lanes' addresses, CX the offset.
#define LOAD4(n, u0, u1, u2, u3, t0, t1, t2, t3) \
	MOVQ (n*8+0)(SI), R8; MOVQ (n*8+8)(SI), R9; MOVQ (n*8+16)(SI), R10; MOVQ (n*8+24)(SI), R11; \
	VMOVDQU32 (R8)(CX*1), u0; VMOVDQU32 (R9)(CX*1), u1; \
	VMOVDQU32 (R10)(CX*1), u2; VMOVDQU32 (R11)(CX*1), u3; \
	VPUNPCKLDQ u1, u0, t0; VPUNPCKHDQ u1, u0, t1; \
	VPUNPCKLDQ u3, u2, t2; VPUNPCKHDQ u3, u2, t3; \
	VPUNPCKLQDQ t2, t0, u0; VPUNPCKHQDQ t2, t0, u1; \
	VPUNPCKLQDQ t3, t1, u2; VPUNPCKHQDQ t3, t1, u3

// QUARTERS gathers the same quarter of u0 to u3 in each of m0 to m3.
#define QUARTERS(u0, u1, u2, u3, m0, m1, m2, m3) \
	VSHUFI32X4 $0xEE, u1, u0, m1; VSHUFI32X4 $0xEE, u3, u2, m0; \
	VSHUFI32X4 $0x44, u1, u0, u0; VSHUFI32X4 $0x44, u3, u2, u2; \
	VSHUFI32X4 $0x88, m0, m1, m2; VSHUFI32X4 $0xDD, m0, m1, m3; \
	VSHUFI32X4 $0x88, u2, u0, m0; VSHUFI32X4 $0xDD, u2, u0, m1

// FOLD keeps the new word of the chaining value where the lane is not past its end (K1).
#define FOLD(n, lo, hi) \
	VPXORD hi, lo, lo; VMOVDQU32 lo, K1, (n*64)(SP)

// STORE puts half a chaining value, for the lanes n, n+4, n+8, n+12, to off(DI).
#define STORE(n, off, z) \
	VEXTRACTI32X4 $0, z, (n*32+off)(DI); VEXTRACTI32X4 $1, z, (n*32+128+off)(DI); \
	VEXTRACTI32X4 $2, z, (n*32+256+off)(DI); VEXTRACTI32X4 $3, z, (n*32+384+off)(DI)

// func compress16(out *[16][32]byte, l *lanes, blocks int)
TEXT ·compress16(SB), NOSPLIT, $512-24
	MOVQ out+0(FP), DI
	MOVQ l+8(FP), SI
	MOVQ blocks+16(FP), BX
	LEAQ ·iv(SB), DX

	VPBROADCASTD 0(DX), Z0
	VPBROADCASTD 4(DX), Z1
	VPBROADCASTD 8(DX), Z2
	VPBROADCASTD 12(DX), Z3
	VPBROADCASTD 16(DX), Z4
	VPBROADCASTD 20(DX), Z5
	VPBROADCASTD 24(DX), Z6
	VPBROADCASTD 28(DX), Z7
	VMOVDQU32 Z0, 0(SP)
	VMOVDQU32 Z1, 64(SP)
	VMOVDQU32 Z2, 128(SP)
	VMOVDQU32 Z3, 192(SP)
	VMOVDQU32 Z4, 256(SP)
	VMOVDQU32 Z5, 320(SP)
	VMOVDQU32 Z6, 384(SP)
	VMOVDQU32 Z7, 448(SP)
	XORQ CX, CX // offset of the block
	XORL AX, AX // its number

block:
	LOAD4(0, Z0, Z1, Z2, Z3, Z16, Z17, Z18, Z19)
	LOAD4(4, Z4, Z5, Z6, Z7, Z20, Z21, Z22, Z23)
	LOAD4(8, Z8, Z9, Z10, Z11, Z24, Z25, Z26, Z27)
	LOAD4(12, Z12, Z13, Z14, Z15, Z28, Z29, Z30, Z31)
	QUARTERS(Z0, Z4, Z8, Z12, Z16, Z20, Z24, Z28)
	QUARTERS(Z1, Z5, Z9, Z13, Z17, Z21, Z25, Z29)
	QUARTERS(Z2, Z6, Z10, Z14, Z18, Z22, Z26, Z30)
	QUARTERS(Z3, Z7, Z11, Z15, Z19, Z23, Z27, Z31)

	// K1: the lane has this block; K2: it is its last one.
	VPBROADCASTD AX, Z0
	VMOVDQU32 192(SI), Z1
	VPCMPUD $1, Z1, Z0, K1
	VPADDD.BCST 32(DX), Z0, Z0
	VPCMPEQD Z1, Z0, K2

	// The first block has one flag, the last one others and a length of its own.
	VPXORD Z15, Z15, Z15
	TESTL AX, AX
	JNZ later
	VMOVDQU32 320(SI), Z15
later:
	VPORD 256(SI), Z15, K2, Z15
	VPBROADCASTD 36(DX), Z14
	VMOVDQU32 384(SI), K2, Z14

	VMOVDQU32 0(SP), Z0
	VMOVDQU32 64(SP), Z1
	VMOVDQU32 128(SP), Z2
	VMOVDQU32 192(SP), Z3
	VMOVDQU32 256(SP), Z4
	VMOVDQU32 320(SP), Z5
	VMOVDQU32 384(SP), Z6
	VMOVDQU32 448(SP), Z7
	VPBROADCASTD 0(DX), Z8
	VPBROADCASTD 4(DX), Z9
	VPBROADCASTD 8(DX), Z10
	VPBROADCASTD 12(DX), Z11
	VMOVDQU32 128(SI), Z12
	VPXORD Z13, Z13, Z13

	ROUND(Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31)
	ROUND(Z18, Z22, Z19, Z26, Z23, Z16, Z20, Z29, Z17, Z27, Z28, Z21, Z25, Z30, Z31, Z24)
	ROUND(Z19, Z20, Z26, Z28, Z29, Z18, Z23, Z30, Z22, Z21, Z25, Z16, Z27, Z31, Z24, Z17)
	ROUND(Z26, Z23, Z28, Z25, Z30, Z19, Z29, Z31, Z20, Z16, Z27, Z18, Z21, Z24, Z17, Z22)
	ROUND(Z28, Z29, Z25, Z27, Z31, Z26, Z30, Z24, Z23, Z18, Z21, Z19, Z16, Z17, Z22, Z20)
	ROUND(Z25, Z30, Z27, Z21, Z24, Z28, Z31, Z17, Z29, Z19, Z16, Z26, Z18, Z22, Z20, Z23)
	ROUND(Z27, Z31, Z21, Z16, Z17, Z25, Z24, Z22, Z30, Z26, Z18, Z28, Z19, Z20, Z23, Z29)

	FOLD(0, Z0, Z8)
	FOLD(1, Z1, Z9)
	FOLD(2, Z2, Z10)
	FOLD(3, Z3, Z11)
	FOLD(4, Z4, Z12)
	FOLD(5, Z5, Z13)
	FOLD(6, Z6, Z14)
	FOLD(7, Z7, Z15)
	ADDQ $64, CX
	INCL AX
	CMPQ AX, BX
	JLT block

	// Transpose the chaining values: words 0 to 3 of lanes j, j+4, … in one register, 4 to 7 in another.
	VMOVDQU32 0(SP), Z0
	VMOVDQU32 64(SP), Z1
	VMOVDQU32 128(SP), Z2
	VMOVDQU32 192(SP), Z3
	VMOVDQU32 256(SP), Z4
	VMOVDQU32 320(SP), Z5
	VMOVDQU32 384(SP), Z6
	VMOVDQU32 448(SP), Z7
	VPUNPCKLDQ Z1, Z0, Z8
	VPUNPCKHDQ Z1, Z0, Z9
	VPUNPCKLDQ Z3, Z2, Z10
	VPUNPCKHDQ Z3, Z2, Z11
	VPUNPCKLDQ Z5, Z4, Z12
	VPUNPCKHDQ Z5, Z4, Z13
	VPUNPCKLDQ Z7, Z6, Z14
	VPUNPCKHDQ Z7, Z6, Z15
	VPUNPCKLQDQ Z10, Z8, Z0
	VPUNPCKHQDQ Z10, Z8, Z1
	VPUNPCKLQDQ Z11, Z9, Z2
	VPUNPCKHQDQ Z11, Z9, Z3
	VPUNPCKLQDQ Z14, Z12, Z4
	VPUNPCKHQDQ Z14, Z12, Z5
	VPUNPCKLQDQ Z15, Z13, Z6
	VPUNPCKHQDQ Z15, Z13, Z7
	STORE(0, 0, Z0)
	STORE(1, 0, Z1)
	STORE(2, 0, Z2)
	STORE(3, 0, Z3)
	STORE(0, 16, Z4)
	STORE(1, 16, Z5)
	STORE(2, 16, Z6)
	STORE(3, 16, Z7)
	VZEROUPPER
	RET
