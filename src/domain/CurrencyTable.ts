/**
 * The currencies that can be charged, with their exponents. Data only: `Currency.ts` gives it a type and refuses the rest.
 *
 * Source: ISO 4217 List One (active codes), published by SIX Financial Information AG, the maintenance agency, on 2026-01-01 (amendment
 * 180: BGN withdrawn). It has 178 codes: 165 with a minor unit and 13 without ("N.A."). The funds codes among the 165 (CLF, UYW, XAD...)
 * are kept: whether an account can charge them is for the gateway's own table. Checked against a public copy of that list; the list of
 * 2026-09-17 has the same number of codes for each exponent.
 *
 * Gotcha: CLDR, and with it `Intl.NumberFormat`, gives other digits for some of them, because it describes how prices are shown (no
 * decimals in HUF, say) and not how amounts are counted. It must never be the source of an exponent.
 */

/** One currency: its code, ISO numeric code (three digits; absent for tokens) and exponent (digits of the minor unit). */
export interface CurrencyEntry {
  readonly code: string
  readonly numeric: string | undefined
  readonly exponent: number
}

/** "code numeric" pairs of one exponent. */
const ofExponent = (exponent: number, rows: ReadonlyArray<string>): ReadonlyArray<CurrencyEntry> =>
  rows.flatMap((row) => row.split(", ")).map((pair) => ({ code: pair.slice(0, 3), numeric: pair.slice(4), exponent }))

const withoutMinorUnit = [
  "BIF 108, CLP 152, DJF 262, GNF 324, ISK 352, JPY 392, KMF 174, KRW 410, PYG 600, RWF 646, UGX 800, UYI 940, VND 704, VUV 548, XAF 950",
  "XOF 952, XPF 953"
]

const hundredths = [
  "AED 784, AFN 971, ALL 008, AMD 051, AOA 973, ARS 032, AUD 036, AWG 533, AZN 944",
  "BAM 977, BBD 052, BDT 050, BMD 060, BND 096, BOB 068, BOV 984, BRL 986, BSD 044, BTN 064, BWP 072, BYN 933, BZD 084",
  "CAD 124, CDF 976, CHE 947, CHF 756, CHW 948, CNY 156, COP 170, COU 970, CRC 188, CUP 192, CVE 132, CZK 203",
  "DKK 208, DOP 214, DZD 012, EGP 818, ERN 232, ETB 230, EUR 978, FJD 242, FKP 238",
  "GBP 826, GEL 981, GHS 936, GIP 292, GMD 270, GTQ 320, GYD 328, HKD 344, HNL 340, HTG 332, HUF 348",
  "IDR 360, ILS 376, INR 356, IRR 364, JMD 388, KES 404, KGS 417, KHR 116, KPW 408, KYD 136, KZT 398",
  "LAK 418, LBP 422, LKR 144, LRD 430, LSL 426",
  "MAD 504, MDL 498, MGA 969, MKD 807, MMK 104, MNT 496, MOP 446, MRU 929, MUR 480, MVR 462, MWK 454, MXN 484, MXV 979, MYR 458, MZN 943",
  "NAD 516, NGN 566, NIO 558, NOK 578, NPR 524, NZD 554, PAB 590, PEN 604, PGK 598, PHP 608, PKR 586, PLN 985, QAR 634, RON 946, RSD 941",
  "RUB 643, SAR 682, SBD 090, SCR 690, SDG 938, SEK 752, SGD 702, SHP 654, SLE 925, SOS 706, SRD 968, SSP 728, STN 930, SVC 222, SYP 760",
  "SZL 748, THB 764, TJS 972, TMT 934, TOP 776, TRY 949, TTD 780, TWD 901, TZS 834, UAH 980, USD 840, USN 997, UYU 858, UZS 860",
  "VED 926, VES 928, WST 882, XAD 396, XCD 951, XCG 532, YER 886, ZAR 710, ZMW 967, ZWG 924"
]

const thousandths = ["BHD 048, IQD 368, JOD 400, KWD 414, LYD 434, OMR 512, TND 788"]

const tenThousandths = ["CLF 990, UYW 927"]

/** Not ISO 4217: BTC in satoshi, ETH in gwei (a wei would not fit a JSON integer), USDC in its contract's own unit. */
export const tokens: ReadonlyArray<CurrencyEntry> = [
  { code: "BTC", numeric: undefined, exponent: 8 },
  { code: "ETH", numeric: undefined, exponent: 9 },
  { code: "USDC", numeric: undefined, exponent: 6 }
]

/** The 165 active ISO 4217 codes that have a minor unit. */
export const isoCurrencies: ReadonlyArray<CurrencyEntry> = [
  ...ofExponent(0, withoutMinorUnit),
  ...ofExponent(2, hundredths),
  ...ofExponent(3, thousandths),
  ...ofExponent(4, tenThousandths)
]

/** The 13 active codes whose minor unit is "N.A.": metals, bond units, the SDR, the test code, no currency. Nothing can be charged in them. */
export const notChargeable: ReadonlyArray<string> = "XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX".split(" ")
