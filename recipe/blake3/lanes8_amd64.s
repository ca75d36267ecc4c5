//go:build amd64 && !purego

#include "textflag.h"

// Eight compressions side by side: a register holds one word of each lane. The state is Y0 to Y15. The rest lies on
// the stack, 32 bytes each, from DX on, which is the start of a line of the cache: the block's message (0), the
// chaining values (512), the mask of the lanes that have this block (768), and word 8 of the state (800), in whose
// register rotations have their room.

DATA ·iv8+0(SB)/4, $0x6A09E667
DATA ·iv8+4(SB)/4, $0xBB67AE85
DATA ·iv8+8(SB)/4, $0x3C6EF372
DATA ·iv8+12(SB)/4, $0xA54FF53A
DATA ·iv8+16(SB)/4, $0x510E527F
DATA ·iv8+20(SB)/4, $0x9B05688C
DATA ·iv8+24(SB)/4, $0x1F83D9AB
DATA ·iv8+28(SB)/4, $0x5BE0CD19
DATA ·iv8+32(SB)/4, $1
DATA ·iv8+36(SB)/4, $64
GLOBL ·iv8(SB), RODATA|NOPTR, $40

// Bytes of words that are rotated right by 16 and by 8.
DATA ·turn16+0(SB)/8, $0x0504070601000302
DATA ·turn16+8(SB)/8, $0x0D0C0F0E09080B0A
GLOBL ·turn16(SB), RODATA|NOPTR, $16
DATA ·turn8+0(SB)/8, $0x0407060500030201
DATA ·turn8+8(SB)/8, $0x0C0F0E0D080B0A09
GLOBL ·turn8(SB), RODATA|NOPTR, $16

// ADDM adds words of the message to x, for four columns.
#define ADDM(x0, x1, x2, x3, m0, m1, m2, m3) \
	VPADDD (m0*32)(DX), x0, x0; VPADDD (m1*32)(DX), x1, x1; VPADDD (m2*32)(DX), x2, x2; VPADDD (m3*32)(DX), x3, x3

// ADD4 adds y to x, for four columns.
#define ADD4(x0, x1, x2, x3, y0, y1, y2, y3) \
	VPADDD y0, x0, x0; VPADDD y1, x1, x1; VPADDD y2, x2, x2; VPADDD y3, x3, x3

// MIX4 is d = (d xor a) with its bytes in another order, for four columns.
#define MIX4(order, d0, d1, d2, d3, a0, a1, a2, a3) \
	VBROADCASTI128 order, Y8; \
	VPXOR a0, d0, d0; VPXOR a1, d1, d1; VPXOR a2, d2, d2; VPXOR a3, d3, d3; \
	VPSHUFB Y8, d0, d0; VPSHUFB Y8, d1, d1; VPSHUFB Y8, d2, d2; VPSHUFB Y8, d3, d3

// TURN rotates b right by n, which is 32-m.
#define TURN(n, m, b) VPSRLD $n, b, Y8; VPSLLD $m, b, b; VPOR Y8, b, b

// ADDC is c = c + d, and TURN4 is b = (b xor c) rotated right, for four columns; the first c is Y8 and on the stack.
#define ADDC(c1, c2, c3, d0, d1, d2, d3) \
	VPADDD 800(DX), d0, Y8; VPADDD d1, c1, c1; VPADDD d2, c2, c2; VPADDD d3, c3, c3
#define TURN4(n, m, b0, b1, b2, b3, c1, c2, c3) \
	VMOVDQU Y8, 800(DX); \
	VPXOR Y8, b0, b0; VPXOR c1, b1, b1; VPXOR c2, b2, b2; VPXOR c3, b3, b3; \
	TURN(n, m, b0); TURN(n, m, b1); TURN(n, m, b2); TURN(n, m, b3)

// G4 is the function G of four columns or diagonals. c of the first one is on the stack.
#define G4(a0, a1, a2, a3, b0, b1, b2, b3, c1, c2, c3, d0, d1, d2, d3, x0, x1, x2, x3, y0, y1, y2, y3) \
	ADDM(a0, a1, a2, a3, x0, x1, x2, x3); \
	ADD4(a0, a1, a2, a3, b0, b1, b2, b3); \
	MIX4(·turn16(SB), d0, d1, d2, d3, a0, a1, a2, a3); \
	ADDC(c1, c2, c3, d0, d1, d2, d3); \
	TURN4(12, 20, b0, b1, b2, b3, c1, c2, c3); \
	ADDM(a0, a1, a2, a3, y0, y1, y2, y3); \
	ADD4(a0, a1, a2, a3, b0, b1, b2, b3); \
	MIX4(·turn8(SB), d0, d1, d2, d3, a0, a1, a2, a3); \
	ADDC(c1, c2, c3, d0, d1, d2, d3); \
	TURN4(7, 25, b0, b1, b2, b3, c1, c2, c3)

// ROUND is one round with the message in this order. Its diagonals begin with the third, which has word 8.
#define ROUND(m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15) \
	G4(Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y9, Y10, Y11, Y12, Y13, Y14, Y15, m0, m2, m4, m6, m1, m3, m5, m7); \
	G4(Y2, Y3, Y0, Y1, Y7, Y4, Y5, Y6, Y9, Y10, Y11, Y13, Y14, Y15, Y12, m12, m14, m8, m10, m13, m15, m9, m11)

// LANES4 turns x0 to x3, four words of a lane in each half, into t0, t1, x2, x3, one word of four lanes in each half.
#define LANES4(x0, x1, x2, x3, t0, t1, t2, t3) \
	VPUNPCKLDQ x1, x0, t0; VPUNPCKHDQ x1, x0, t1; \
	VPUNPCKLDQ x3, x2, t2; VPUNPCKHDQ x3, x2, t3; \
	VPUNPCKLQDQ t2, t0, x0; VPUNPCKHQDQ t2, t0, x1; \
	VPUNPCKLQDQ t3, t1, x2; VPUNPCKHQDQ t3, t1, x3

// WORDS4 puts four words of the message, those from the block's byte off on, to the stack. CX is the block's offset.
#define WORDS4(off) \
	VMOVDQU off(R8)(CX*1), X0; VMOVDQU off(R9)(CX*1), X1; \
	VMOVDQU off(R10)(CX*1), X2; VMOVDQU off(R11)(CX*1), X3; \
	VINSERTI128 $1, off(R12)(CX*1), Y0, Y0; VINSERTI128 $1, off(R13)(CX*1), Y1, Y1; \
	VINSERTI128 $1, off(R14)(CX*1), Y2, Y2; VINSERTI128 $1, off(R15)(CX*1), Y3, Y3; \
	LANES4(Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7); \
	VMOVDQU Y0, (off*8)(DX); VMOVDQU Y1, (off*8+32)(DX); VMOVDQU Y2, (off*8+64)(DX); VMOVDQU Y3, (off*8+96)(DX)

// FOLD keeps the new word of the chaining value where the lane has this block (mask).
#define FOLD(n, lo, hi, mask) \
	VPXOR hi, lo, lo; VMOVDQU (n*32+512)(DX), hi; VPBLENDVB mask, lo, hi, lo; VMOVDQU lo, (n*32+512)(DX)

// STORE puts half a chaining value, for the lanes n and n+4, to off(DI).
#define STORE(n, off, x, y) VMOVDQU x, (n*32+off)(DI); VEXTRACTI128 $1, y, (n*32+128+off)(DI)

// func compress8(out *[16][32]byte, l *lanes, blocks, from int)
TEXT ·compress8(SB), 0, $896-32
	MOVQ out+0(FP), DI
	MOVQ l+8(FP), SI
	MOVQ blocks+16(FP), BX
	MOVQ from+24(FP), AX
	LEAQ 63(SP), DX
	ANDQ $~63, DX

	// The addresses of the lanes; SI and DI become those of the first lane's words and result.
	LEAQ (SI)(AX*8), CX
	MOVQ 0(CX), R8
	MOVQ 8(CX), R9
	MOVQ 16(CX), R10
	MOVQ 24(CX), R11
	MOVQ 32(CX), R12
	MOVQ 40(CX), R13
	MOVQ 48(CX), R14
	MOVQ 56(CX), R15
	LEAQ (SI)(AX*4), SI
	SHLQ $5, AX
	ADDQ AX, DI

	VPBROADCASTD ·iv8+0(SB), Y0
	VPBROADCASTD ·iv8+4(SB), Y1
	VPBROADCASTD ·iv8+8(SB), Y2
	VPBROADCASTD ·iv8+12(SB), Y3
	VPBROADCASTD ·iv8+16(SB), Y4
	VPBROADCASTD ·iv8+20(SB), Y5
	VPBROADCASTD ·iv8+24(SB), Y6
	VPBROADCASTD ·iv8+28(SB), Y7
	VMOVDQU Y0, 512(DX)
	VMOVDQU Y1, 544(DX)
	VMOVDQU Y2, 576(DX)
	VMOVDQU Y3, 608(DX)
	VMOVDQU Y4, 640(DX)
	VMOVDQU Y5, 672(DX)
	VMOVDQU Y6, 704(DX)
	VMOVDQU Y7, 736(DX)
	XORQ CX, CX // offset of the block
	XORL AX, AX // its number

block:
	WORDS4(0)
	WORDS4(16)
	WORDS4(32)
	WORDS4(48)

	// Y2: the lane has this block; Y3: it is its last one.
	VMOVD AX, X0
	VPBROADCASTD X0, Y0
	VMOVDQU 192(SI), Y1
	VPCMPGTD Y0, Y1, Y2
	VMOVDQU Y2, 768(DX)
	VPBROADCASTD ·iv8+32(SB), Y3
	VPADDD Y3, Y0, Y0
	VPCMPEQD Y1, Y0, Y3

	// The first block has one flag, the last one others and a length of its own.
	VPAND 256(SI), Y3, Y15
	TESTL AX, AX
	JNZ later
	VPOR 320(SI), Y15, Y15
later:
	VPBROADCASTD ·iv8+36(SB), Y14
	VPBLENDVB Y3, 384(SI), Y14, Y14

	VMOVDQU 512(DX), Y0
	VMOVDQU 544(DX), Y1
	VMOVDQU 576(DX), Y2
	VMOVDQU 608(DX), Y3
	VMOVDQU 640(DX), Y4
	VMOVDQU 672(DX), Y5
	VMOVDQU 704(DX), Y6
	VMOVDQU 736(DX), Y7
	VPBROADCASTD ·iv8+0(SB), Y8
	VMOVDQU Y8, 800(DX)
	VPBROADCASTD ·iv8+4(SB), Y9
	VPBROADCASTD ·iv8+8(SB), Y10
	VPBROADCASTD ·iv8+12(SB), Y11
	VMOVDQU 128(SI), Y12
	VPXOR Y13, Y13, Y13

	ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
	ROUND(2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
	ROUND(3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1)
	ROUND(10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6)
	ROUND(12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4)
	ROUND(9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7)
	ROUND(11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13)

	// FOLD has two words each; word 8 comes from the stack, and the mask to where word 9 was.
	VMOVDQU 800(DX), Y8
	VPXOR Y9, Y1, Y1
	VMOVDQU 768(DX), Y9
	FOLD(0, Y0, Y8, Y9)
	VPXOR Y8, Y8, Y8
	FOLD(1, Y1, Y8, Y9)
	FOLD(2, Y2, Y10, Y9)
	FOLD(3, Y3, Y11, Y9)
	FOLD(4, Y4, Y12, Y9)
	FOLD(5, Y5, Y13, Y9)
	FOLD(6, Y6, Y14, Y9)
	FOLD(7, Y7, Y15, Y9)
	ADDQ $64, CX
	INCL AX
	CMPQ AX, BX
	JLT block

	// Transpose the chaining values: words 0 to 3 of the lanes j and j+4 in one register, 4 to 7 in another.
	VMOVDQU 512(DX), Y0
	VMOVDQU 544(DX), Y1
	VMOVDQU 576(DX), Y2
	VMOVDQU 608(DX), Y3
	VMOVDQU 640(DX), Y4
	VMOVDQU 672(DX), Y5
	VMOVDQU 704(DX), Y6
	VMOVDQU 736(DX), Y7
	LANES4(Y0, Y1, Y2, Y3, Y8, Y9, Y10, Y11)
	LANES4(Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11)
	STORE(0, 0, X0, Y0)
	STORE(1, 0, X1, Y1)
	STORE(2, 0, X2, Y2)
	STORE(3, 0, X3, Y3)
	STORE(0, 16, X4, Y4)
	STORE(1, 16, X5, Y5)
	STORE(2, 16, X6, Y6)
	STORE(3, 16, X7, Y7)
	VZEROUPPER
	RET
