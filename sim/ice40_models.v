// Models of cells of the iCE40 for `sim.forms.netlist`, in place of those that come with Yosys.

// Single-port RAM, always powered: theirs forgets all words at once where power is lost, which is
// more than the simulator can hold.
//
// A nibble is written where its bit of MASKWREN is set. DATAOUT is the word that was read; behind a
// write, when nothing may depend on it, it is what was not written.
module SB_SPRAM256KA (
	input [13:0] ADDRESS,
	input [15:0] DATAIN,
	input [3:0] MASKWREN,
	input WREN, CHIPSELECT, CLOCK, STANDBY, SLEEP, POWEROFF,
	output reg [15:0] DATAOUT
);
	reg [15:0] mem [0:16383];
	wire [15:0] mask = {{4{MASKWREN[3]}}, {4{MASKWREN[2]}}, {4{MASKWREN[1]}}, {4{MASKWREN[0]}}};

	always @(posedge CLOCK)
		if (CHIPSELECT) begin
			DATAOUT <= WREN ? ~DATAIN : mem[ADDRESS];
			if (WREN) mem[ADDRESS] <= DATAIN & mask | mem[ADDRESS] & ~mask;
		end
endmodule

// LUT, a multiplexer for each bit: of theirs, which are of many bits, constants are not folded.
module SB_LUT4 (output O, input I0, I1, I2, I3);
	parameter [15:0] LUT_INIT = 0;
	wire [7:0] s3;
	wire [3:0] s2;
	wire [1:0] s1;
	genvar i;
	generate
		for (i = 0; i < 8; i = i + 1) assign s3[i] = I3 ? LUT_INIT[i + 8] : LUT_INIT[i];
		for (i = 0; i < 4; i = i + 1) assign s2[i] = I2 ? s3[i + 4] : s3[i];
		for (i = 0; i < 2; i = i + 1) assign s1[i] = I1 ? s2[i + 2] : s2[i];
	endgenerate
	assign O = I0 ? s1[1] : s1[0];
endmodule

// No cell of the chip: keeps a port of several bits apart from the wires that drive it.
module OUTPUT (A, Y);
	parameter WIDTH = 1;
	input [WIDTH - 1:0] A;
	output [WIDTH - 1:0] Y;
	assign Y = A;
endmodule
