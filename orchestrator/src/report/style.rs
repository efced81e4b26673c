//! The style sheet of the HTML report: readable on a phone, on a screen in either colour scheme, and in print.

pub(super) const CSS: &str = "\
:root{--ink:#1c2733;--soft:#5b6b7b;--line:#dde3ea;--bg:#fff;--card:#f6f8fa;--brand:#0b6e99;--good:#1a7f4b;\
--bad:#b3261e;--warn:#9a6700;--star:#d9480f}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa7b4;--line:#2d3640;--bg:#12171d;--card:#1a2129;\
--brand:#5cc3ec;--good:#5ad19a;--bad:#ff8a80;--warn:#e3b341;--star:#ff922b}}\
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);\
font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\
main{max-width:1280px;margin:0 auto;padding:28px 20px 60px}h1{font-size:1.7rem;margin:0 0 4px}\
h2{font-size:1.2rem;margin:40px 0 8px;border-bottom:1px solid var(--line);padding-bottom:6px}\
p{margin:8px 0}.soft{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}\
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;margin:18px 0}\
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px}\
.card b{display:block;font-size:1.55rem;line-height:1.25}.card span{color:var(--soft);font-size:.88rem}\
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}\
th,td{padding:6px 9px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}\
th{color:var(--soft);font-weight:600;font-size:.82rem}th.l,td.l{text-align:left}tr.chosen td{background:var(--card);\
font-weight:600}tr.first td{border-top:2px solid var(--line)}td.heat{border-radius:4px}table.map{width:auto}\
.map td.heat{text-align:center;font-size:.85rem;line-height:1.3;padding:6px 12px}.map th{text-align:center}.map th.l{text-align:left}\
.bar{display:inline-block;height:9px;border-radius:3px;background:var(--brand);vertical-align:middle}\
svg{width:100%;max-width:980px;height:auto;display:block;margin:10px auto}svg .grid{stroke:var(--line)}\
svg text{fill:var(--soft);font-size:12px}svg text.axis{font-size:13px}svg text.name{fill:var(--ink);font-size:13px;\
font-weight:600}svg .front{fill:none;stroke:var(--brand);stroke-width:2}svg .pareto{fill:var(--brand)}\
svg .other{fill:var(--soft);opacity:.45}svg .uniform{fill:var(--bg);stroke:var(--ink);stroke-width:2}\
svg .chosen{fill:var(--star);stroke:var(--bg);stroke-width:1}svg line.threshold{stroke:var(--bad);\
stroke-dasharray:5 4}svg text.threshold{fill:var(--bad)}svg .interval{fill:none;stroke:var(--soft);opacity:.7}\
svg .bound{fill:none;stroke:var(--brand);stroke-width:2}svg .incumbent{fill:none;stroke:var(--star);stroke-width:2}\
svg .passes{fill:var(--good)}svg .fails{fill:none;stroke:var(--bad);stroke-width:1.5}svg .layer{fill:var(--brand);opacity:.6}\
svg .dies{fill:var(--bad)}svg .quarantine{fill:var(--warn);opacity:.18}code.long{overflow-wrap:anywhere}\
.legend{display:flex;flex-wrap:wrap;gap:6px 18px;font-size:.88rem;color:var(--soft);justify-content:center}\
.legend i{font-style:normal;font-size:1.1em}pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px;overflow-x:auto;font-size:.86rem}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:10px 0}dt{color:var(--soft)}dd{margin:0}\
@media(max-width:600px){dl{grid-template-columns:1fr}dd{margin-bottom:6px}main{padding:18px 14px 40px}\
svg{width:760px;max-width:none}}\
@media print{main{max-width:none;padding:0}h2{break-after:avoid}tr,svg,.cards{break-inside:avoid}\
.scroll{overflow:visible}table{font-size:.62rem}th,td{padding:2px 4px;white-space:normal}th{font-size:.6rem}.bar{height:6px;max-width:40px}}";
