//! What records that mean ill cannot do.

use dsrd::report::{Package, Section};
use scraper::{Html, Node};

use crate::ground::{archive, csv_rows, entries_of, header, selector, settings, spool, text, unpack};

const POLYGLOTS: [&str; 14] = [
    r"<script>alert(1)</script>",
    r#""><img src=x onerror=alert(1)>"#,
    r"' onmouseover='alert(1)",
    r#"</td></tr></table></main><a href="javascript:alert(1)">x</a>"#,
    r"--><svg/onload=alert(1)>",
    r#"]]><iframe src="https://evil.example/">"#,
    r"</style><link rel=stylesheet href=https://evil.example/x.css>",
    r"</title><base href=https://evil.example/>",
    r#"<meta http-equiv=refresh content="0;url=https://evil.example/">"#,
    r"{{ 7*7 }}{% raw %}${7*7}",
    "\u{202e}txt.exe\u{2066}<b>",
    "jaVasCript:/*-/*`/*\\`/*'/*\"/**/(/* */oNcliCk=alert() )//%0D%0A</stYle/</titLe/</teXtarEa/</scRipt/--!>\\x3csVg/<sVg/oNloAd=alert()//>",
    "&lt;script&gt;&#x3c;script&#x3e;",
    "\0<plaintext>",
];

/// Every string field of all sections, filled from `values` in turn.
pub(crate) fn hostile(values: &[&str]) -> Vec<(Section, String)> {
    let mut turn = values.iter().cycle();
    let mut fill = |template: &str| {
        let mut out = template.to_owned();
        while let Some(at) = out.find('$') {
            let value = serde_json::to_string(turn.next().unwrap()).unwrap().replace('$', "\\u0024");
            out.replace_range(at..=at, &value);
        }
        out
    };
    let mut records = Vec::new();
    for _ in 0..POLYGLOTS.len() {
        for (section, template) in [
            (
                Section::Profile,
                r#"{"cid":$,"firstName":$,"created":$,"email":$,"unknown":$,"nested":{"deep":$},"policies":[{"name":$,"accepted":true,"by":$}],"metrics":{"lastVisitVenue":$}}"#,
            ),
            (
                Section::Events,
                r#"{"event":{"type":$,"id":$},"where":{"locationName":$},"when":{"createdAt":$,"createdAtLocal":$},"x":[$,{"y":$}]}"#,
            ),
            (Section::Devices, r#"{"macAddress":$,"connections":1,"lastConnection":$}"#),
            (Section::Accountings, r#"{"id":$,"start":$,"hotspotId":$,"terminateCause":$}"#),
            (Section::Requests, r#"{"reference":$,"kind":$,"received_at":$}"#),
        ] {
            records.push((section, fill(template)));
        }
    }
    records
}

fn page(values: &[&str]) -> String {
    let records = hostile(values);
    let borrowed: Vec<_> = records.iter().map(|(section, record)| (*section, record.as_str())).collect();
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let mut header = header();
    values[0].clone_into(&mut header.organisation_name);
    values[1 % values.len()].clone_into(&mut header.controller_contact);
    values[2 % values.len()].clone_into(&mut header.identifiers[0].masked);
    let package = Package::write(&header, spool(&settings, &borrowed), &settings).unwrap();
    text(&unpack(archive(&settings, &package)), "report.html").to_owned()
}

/// Elements and names of attributes in document order, with depth.
fn tree(page: &str) -> Vec<(usize, String)> {
    Html::parse_document(page)
        .tree
        .nodes()
        .filter_map(|node| match node.value() {
            Node::Element(element) => {
                let mut attributes: Vec<&str> = element.attrs().map(|(name, _)| name).collect();
                attributes.sort_unstable();
                Some((node.ancestors().count(), format!("{} {attributes:?}", element.name())))
            }
            Node::Comment(_) => Some((node.ancestors().count(), "comment".to_owned())),
            _ => None,
        })
        .collect()
}

#[test]
fn s_15_no_value_changes_the_structure_of_the_readable_report() {
    let harmless = page(&["2026-01-02T03:04:05Z"]);
    let expected = tree(&harmless);
    assert!(expected.len() > 1_000);
    assert_eq!(tree(&page(&POLYGLOTS)), expected);
    for polyglot in POLYGLOTS {
        assert_eq!(tree(&page(&[polyglot])), expected, "{polyglot}");
    }
}

#[test]
fn s_15_links_lead_to_fixed_places_and_the_policy_forbids_everything_else() {
    let text = page(&POLYGLOTS);
    let page = Html::parse_document(&text);
    let ids: Vec<&str> = page.select(&selector("[id]")).filter_map(|each| each.attr("id")).collect();
    let links: Vec<&str> = page.select(&selector("[href]")).filter_map(|each| each.attr("href")).collect();
    assert!(links.len() > 10);
    for link in links {
        assert!(link.strip_prefix('#').is_some_and(|place| ids.contains(&place)), "{link}");
    }
    let policy = page.select(&selector("meta[http-equiv=Content-Security-Policy]")).next().unwrap();
    assert_eq!(policy.attr("content"), Some("default-src 'none'; style-src 'unsafe-inline'"));
    assert_eq!(
        page.select(&selector("script, iframe, object, embed, form, base, link, img, svg")).count(),
        0
    );
    // The first polyglot is there, as text.
    assert!(page.root_element().text().any(|words| words.contains(POLYGLOTS[0])));
}

#[test]
fn s_16_no_file_loads_anything() {
    let text = page(&POLYGLOTS);
    let page = Html::parse_document(&text);
    let loading = [
        "src",
        "srcset",
        "data",
        "poster",
        "background",
        "action",
        "formaction",
        "cite",
        "ping",
        "manifest",
        "style",
    ];
    for element in page.select(&selector("*")) {
        for (name, value) in element.value().attrs() {
            assert!(!loading.contains(&name) && !name.starts_with("on"), "{name}={value}");
        }
    }
    let styles: String = page.select(&selector("style")).flat_map(|style| style.text()).collect();
    assert!(styles.len() > 1_000);
    for fetching in ["url(", "@import", "image(", "src:", "expression(", "//"] {
        assert!(!styles.contains(fetching), "{fetching}");
    }
    assert_eq!(page.select(&selector("meta[http-equiv]")).count(), 1);
}

#[test]
fn s_17_no_cell_or_column_of_any_csv_file_starts_a_formula() {
    let dangerous = [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r\n=1",
        " \u{a0}=1",
        "＝1",
        "－1",
        "'=1",
        "a\"=1\n,=2",
        "Ada;=cmd|'/C calc'!A0",
        "Ada\t=1",
        "Ada\n=1",
        "Ada;\"=1\"",
        "Ada;;\u{a0}＝1",
        "Ada;'=1",
    ];
    let mut records: Vec<(Section, String)> = hostile(&dangerous);
    records.push((Section::Events, r#"{"=HYPERLINK(1)":-5,"@x":{"y":"=1"}}"#.to_owned()));
    let borrowed: Vec<_> = records.iter().map(|(section, record)| (*section, record.as_str())).collect();
    let entries = entries_of(&borrowed);
    let mut seen = 0;
    for section in Section::ALL {
        let body = text(&entries, section.csv_name()).trim_start_matches('\u{feff}');
        // The comma is what separates. A spreadsheet in German, French, Italian or Spanish takes the semicolon, and whoever
        // pastes the text the tab; then the marks of quotation stand elsewhere than such a reader expects them.
        for (delimiter, quoting) in [(b',', true), (b';', true), (b'\t', true), (b';', false), (b'\t', false)]
        {
            let mut reader = csv::ReaderBuilder::new();
            let reader = reader.has_headers(false).flexible(true).delimiter(delimiter).quoting(quoting);
            for record in reader.from_reader(body.as_bytes()).records() {
                for cell in &record.unwrap() {
                    let shown = cell.trim_start_matches(|each: char| each.is_whitespace() || each == '"');
                    let first =
                        if quoting && delimiter == b',' { cell.trim_start() } else { shown }.chars().next();
                    assert!(
                        !matches!(first, Some('=' | '+' | '-' | '@' | '＝' | '－')),
                        "{delimiter}: {cell:?}"
                    );
                    seen += usize::from(cell.starts_with('\''));
                }
            }
        }
    }
    assert!(seen > 100);
    // Dropping the apostrophe gives every value back.
    let (columns, rows) = csv_rows(&entries, Section::Devices);
    let place = columns.iter().position(|name| name == "macAddress").unwrap();
    for row in rows {
        assert!(dangerous.contains(&row[place].as_str()), "{:?}", row[place]);
    }
}
