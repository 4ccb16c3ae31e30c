"""Twenty processes of a firm that makes things out of metal: what it runs by night and by day."""

from typing import NamedTuple

SENSORS = """
name: sensor-import
description: Messwerte der Hallen 1 bis 4 holen und ablegen
labels: {team: messtechnik}
timeout: 5m
input: {type: object, properties: {hall: {type: integer, minimum: 1, maximum: 4, default: 1}}}
schedules: [{cron: "*/30 * * * *", zone: Europe/Berlin, overlap: skip, input: {hall: 2}}]
tasks:
  - {name: fetch, run: "echo 1284 values of hall ${{ input.hall }}", timeout: 1m, retries: 3}
  - {name: store, run: [echo, 1284 rows stored]}
"""

DISKS = """
name: disk-check
description: Free space and health of the disks of all machines
labels: {team: it}
schedules: [{name: hourly, every: 1h, jitter: 5m}]
tasks:
  - {name: measure, shell: "df -h / | tail -1"}
  - {name: judge, run: [echo, all disks are healthy]}
"""

LASER = """
name: laser-cutter
description: Zuschnitt auf der Laserschneidanlage TruLaser 3030
labels: {team: fertigung, hall: "2"}
input:
  type: object
  required: [sheet]
  properties:
    sheet: {type: string, title: Tafel, description: Nummer der Blechtafel, examples: [T-20417]}
    material: {type: string, enum: [S235, S355, 1.4301, AlMg3], default: S235}
    thickness: {type: number, minimum: 0.5, maximum: 25, default: 4}
concurrency: {key: laser, max: 3}
tasks:
  - {name: load-program, run: "echo program ${{ input.sheet }}.lst loaded", retries: 2}
  - name: cut
    shell: |
      for part in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "part $part of 12 cut"; sleep 0.2; done
    timeout: 2h
    undo: {run: [echo, sheet taken out]}
  - {name: measure, run: [echo, "deviation 0.04 mm"]}
  - {name: unload, run: [echo, pallet 7 unloaded]}
"""

PRESS = """
name: press-line
description: Umformen auf der Pressenstraße, von der Platine bis zum geprüften Teil
labels: {team: fertigung, hall: "1"}
priority: 6
input:
  type: object
  required: [order, pieces]
  properties:
    order: {type: string, title: Auftrag}
    pieces: {type: integer, minimum: 1, maximum: 20000, title: Stückzahl}
    tool: {type: string, title: Werkzeug, default: W-118}
    dry_run: {type: boolean, default: false}
tasks:
  - {name: order-check, run: "echo order ${{ input.order }} released", needs: []}
  - {name: feed, run: [echo, coil 3 fed], needs: [order-check]}
  - {name: tool-change, run: "echo tool ${{ input.tool }} clamped", needs: [order-check]}
  - name: press
    needs: [feed, tool-change]
    shell: |
      n=0
      while [ "$n" -lt "$STROKES" ]; do
        n=$((n+1)); echo "stroke $n: $((300 + n % 17)) kN"
        echo "::procession:: {\"progress\": $((n * 100 / STROKES))e-2, \"text\": \"stroke $n\"}"
        sleep 0.5
      done
    env: {STROKES: "${{ input.pieces }}"}
    timeout: 8h
  - {name: inspect, needs: [press], run: [echo, 3 of 3 samples within tolerance]}
  - {name: book, needs: [inspect], run: "echo ${{ input.pieces }} pieces booked"}
"""

LABELS = """
name: etikettendruck
description: Etiketten für Versandkartons drucken
labels: {team: versand}
input:
  type: object
  properties: {printer: {type: string, default: ZT411-Versand}, copies: {type: integer, default: 1}}
tasks:
  - {name: render, run: [echo, 1 page rendered]}
  - {name: print, run: "echo sent to ${{ input.printer }}", timeout: 30s, retries: 2}
"""

ORDERS = """
name: order-fulfilment
description: From the order in the shop to the parcel at the door
labels: {team: shop}
input:
  type: object
  required: [order]
  properties:
    order: {type: string}
    express: {type: boolean, default: false}
    total: {type: number, default: 0}
triggers:
  - name: shop
    event: shop.order.*
    when: ${{ event.type == 'shop.order.paid' }}
    input: {order: "${{ event.key }}"}
    throttle: {max: 30, per: 1m, rest: queue, most: 500}
tasks:
  - {name: reserve, run: "echo order ${{ input.order }} reserved", undo: {run: [echo, released]}}
  - {name: pick, run: [echo, 4 positions picked]}
  - {name: pack, run: [echo, "parcel of 2.4 kg"]}
  - {name: ship, run: [echo, "DHL 00340434161094015902"], retries: {max: 4, delay: 10s}}
  - {name: tell, run: [echo, mail sent to the customer]}
"""

BACKUP = """
name: backup-database
description: Nightly dump of the ERP database, encrypted and copied to the second site
labels: {team: it, critical: "yes"}
timeout: 3h
schedules: [{name: nightly, cron: "30 1 * * *", zone: Europe/Berlin, catch_up: last}]
tasks:
  - {name: dump, shell: "echo dumping 48 tables; sleep 0.5; echo 11.2 GB written", timeout: 2h}
  - {name: encrypt, run: [echo, "encrypted with key 2026-04"]}
  - {name: copy, run: [echo, "copied to site B, 11.2 GB in 412 s"], retries: {max: 3, delay: 1m}}
  - {name: verify, run: [echo, "checksum matches"]}
"""

INVOICES = """
name: invoice-run
description: Rechnungslauf über alle offenen Lieferscheine
labels: {team: buchhaltung, critical: "yes"}
input:
  type: object
  required: [day]
  properties:
    day: {type: string, format: date, title: Buchungstag}
    mandant: {type: string, enum: [Nord, Süd, Österreich], default: Nord}
    dry_run: {type: boolean, default: false, title: Nur Probe}
schedules:
  - {cron: "0 6 * * mon-fri", zone: Europe/Berlin, input: {day: "${{ tick.date }}"}}
tasks:
  - {name: collect, run: "echo 214 delivery notes of ${{ input.day }}"}
  - {name: calculate, run: [echo, "214 invoices, 181.442,17 EUR"]}
  - name: release
    approval:
      message: Rechnungslauf vom ${{ input.day }} freigeben? 214 Rechnungen, 181.442,17 EUR
      who: ["role:operator", "role:admin"]
      form: {type: object, properties: {remark: {type: string, title: Bemerkung}}}
  - {name: render, run: [echo, 214 PDF rendered]}
  - {name: send, run: [echo, 209 sent by mail and 5 printed], retries: 2}
"""

ETL = """
name: nightly-etl
description: Sales, stock and machine data into the warehouse
labels: {team: data, critical: "yes"}
schedules: [{name: nightly, cron: "15 2 * * *", zone: Europe/Berlin, overlap: queue_one}]
tasks:
  - {name: extract-sales, run: [echo, 48211 rows], needs: []}
  - {name: extract-stock, run: [echo, 9120 rows], needs: []}
  - {name: extract-machines, run: [echo, 1440210 rows], needs: [], retries: 2}
  - {name: clean, run: [echo, 17 rows set aside], needs: [extract-sales, extract-stock]}
  - {name: load, run: [echo, loaded], needs: [clean, extract-machines], timeout: 1h}
  - {name: aggregate, run: [echo, 36 aggregates], needs: [load]}
  - {name: check, run: [echo, 112 checks passed], needs: [aggregate]}
  - {name: publish, run: [echo, 9 reports published], needs: [check]}
"""

ONBOARD = """
name: employee.onboard
description: Everything that a new colleague needs on the first day
labels: {team: personal}
input:
  type: object
  required: [name]
  properties:
    name: {type: string, title: Name, minLength: 2}
    department: {type: string, enum: [Fertigung, Versand, Büro, IT], default: Fertigung}
    starts_on: {type: string, format: date, title: Erster Tag}
tasks:
  - {name: account, run: "echo account of ${{ input.name }} made", undo: {run: [echo, removed]}}
  - {name: mailbox, run: [echo, mailbox made]}
  - name: equipment
    approval: {message: "Notebook und Telefon für ${{ input.name }} bestellen?"}
  - {name: badge, run: [echo, badge 4711 printed]}
  - {name: welcome, run: [echo, mail sent]}
"""

LEAVE = """
name: employee.leave
description: Close accounts and collect equipment
labels: {team: personal}
input: {type: object, required: [name], properties: {name: {type: string}}}
tasks:
  - {name: agree, approval: "Zugänge von ${{ input.name }} schließen?"}
  - {name: lock, run: "echo account of ${{ input.name }} locked"}
  - {name: archive, run: [echo, mailbox archived]}
  - {name: wipe, run: [echo, notebook wiped]}
"""

STOCK = """
name: lagerabgleich
description: Bestände zwischen Lager und Shop abgleichen
labels: {team: shop}
schedules: [{every: 2h, overlap: skip}]
tasks:
  - {name: read, run: [echo, 5310 articles]}
  - {name: compare, run: [echo, 12 differences]}
  - {name: write, run: [echo, 12 stocks corrected], retries: 2}
"""

CERTIFICATES = """
name: certificate-renewal
description: Renew what expires within thirty days
labels: {team: it}
schedules: [{name: weekly, cron: "0 4 * * mon"}]
tasks:
  - {name: "list", run: [echo, 14 certificates]}
  - {name: renew, run: [echo, 2 renewed], retries: 5}
  - {name: reload, run: [echo, nginx reloaded]}
"""

DEPLOY = """
name: web-shop.deploy
description: Test, release and watch a version of the web shop
labels: {team: shop}
input:
  type: object
  required: [version]
  properties:
    version: {type: string, pattern: "^v[0-9.]+$", examples: [v4.61.0]}
    stage: {enum: [test, live], default: test}
concurrency: {key: deploy, max: 1}
tasks:
  - {name: build, run: "echo ${{ input.version }} built", needs: []}
  - {name: unit-tests, run: [echo, 1840 passed], needs: [build]}
  - {name: browser-tests, run: [echo, 96 passed], needs: [build], retries: 1}
  - {name: go-live, needs: [unit-tests, browser-tests], approval: "Release ${{ input.version }}?"}
  - {name: switch, run: [echo, traffic switched], needs: [go-live], undo: {run: [echo, back]}}
  - {name: watch, run: [echo, "error rate 0.02 %"], needs: [switch]}
"""

PAYROLL = """
name: payroll.monthly
description: Löhne und Gehälter abrechnen
labels: {team: personal, critical: "yes"}
queue: nightly
schedules: [{cron: "0 20 L * *", zone: Europe/Berlin}]
tasks:
  - {name: hours, run: [echo, 312 people]}
  - {name: calculate, run: [echo, calculated]}
  - {name: pay, run: [echo, bank file written]}
"""

INSPECTION = """
name: pruefprotokoll
description: Prüfprotokolle der Endkontrolle ablegen
labels: {team: qualität}
tasks:
  - {name: scan, run: [echo, 3 pages], retries: 1}
  - {name: read, run: [echo, serial number found]}
  - {name: file, run: [echo, filed]}
"""

THUMBNAILS = """
name: thumbnails
description: Pictures of new articles in three sizes
labels: {team: shop}
input: {type: object, properties: {images: {type: array, items: {type: string}, default: [a, b]}}}
tasks:
  - {name: fetch, run: [echo, pictures fetched]}
  - {name: shrink, run: "echo ${{ item.value }} made smaller", for_each: "${{ input.images }}"}
"""

MAINTENANCE = """
name: maschinen-wartung
description: Wartungsaufträge aus den Betriebsstunden anlegen
labels: {team: instandhaltung}
schedules: [{cron: "30 5 * * mon-sat", zone: Europe/Berlin}]
tasks:
  - {name: hours, run: [echo, 42 machines]}
  - {name: plan, run: [echo, 3 orders made]}
"""

LOGS = """
name: log-rotation
description: Compress the logs of the day, remove those of last year
labels: {team: it}
schedules: [{cron: "H H * * *"}]
tasks:
  - {name: compress, run: [echo, 118 files]}
  - {name: remove, run: [echo, 4 files]}
"""

EXPORT = """
name: customer-export
description: Kundendaten für das Callcenter, ohne Zahlungsdaten
labels: {team: vertrieb}
queue: nightly
tasks:
  - {name: select, run: [echo, 18220 customers]}
  - {name: mask, run: [echo, masked]}
  - {name: upload, run: [echo, uploaded], retries: 3}
"""

# What some of them were before: definitions change.
BEFORE = (
    PRESS.replace("timeout: 8h", "timeout: 4h").replace("W-118", "W-117"),
    INVOICES.replace("retries: 2", "retries: 0"),
    SENSORS.replace("Hallen 1 bis 4", "Hallen 1 und 2").replace("retries: 3", "retries: 1"),
)


class Sort(NamedTuple):
    """How often a type runs, how long, how often it fails, and of what."""

    text: str
    share: int  # of all runs, in thousandths
    seconds: float
    failing: int  # of its runs, in thousandths
    errors: tuple[tuple[int, str], ...]  # the position of a task, and what it says


SORTS = (
    Sort(SENSORS, 300, 4, 12, ((0, "exit code 7: no route to host 10.20.{n}.14"),)),
    Sort(DISKS, 110, 2, 3, ((1, "disk /dev/sdb of press-0{n}: 31 reallocated sectors"),)),
    Sort(LASER, 130, 640, 45, (
        (1, "exit code 3: nozzle collision at part {n}, axis Z"),
        (1, "it took longer than 2 h"),
        (2, "deviation 0.{n} mm is above 0.10 mm"),
    )),
    Sort(PRESS, 80, 1900, 30, (
        (3, "exit code 12: overload at stroke {n}, 498 kN"),
        (2, "exit code 1: tool W-118 is not in the magazine"),
    )),
    Sort(LABELS, 110, 3, 25, ((1, "exit code 1: printer ZT411-Versand is out of paper"),)),
    Sort(ORDERS, 110, 210, 18, (
        (3, "503 from https://api.dhl.example/shipments after {n} ms"),
        (0, "Artikel 30-{n} ist nicht vorrätig"),
    )),
    Sort(BACKUP, 4, 5400, 40, ((2, "exit code 30: rsync: connection timed out after {n} s"),)),
    Sort(INVOICES, 4, 900, 50, ((1, "Lieferschein {n}: Steuersatz fehlt"),)),
    Sort(ETL, 4, 4200, 60, (
        (4, "deadlock detected: process {n} waits for ShareLock"),
        (6, "check sales_not_null: {n} rows"),
    )),
    Sort(ONBOARD, 6, 86_000, 10, ((1, "mailbox exists already: m.weiß{n}"),)),
    Sort(LEAVE, 4, 300, 10, ((3, "notebook NB-{n} is offline"),)),
    Sort(STOCK, 30, 45, 20, ((0, "exit code 28: operation timed out after {n} ms"),)),
    Sort(CERTIFICATES, 3, 60, 30, ((1, "rate limit of the authority, try again in {n} h"),)),
    Sort(DEPLOY, 15, 1500, 90, (
        (2, "exit code 1: 3 of 96 failed: basket keeps its {n} items"),
        (0, "exit code 2: module not found: price-rules"),
    )),
    Sort(PAYROLL, 1, 3600, 0, ()),
    Sort(INSPECTION, 40, 12, 22, ((1, "keine Seriennummer auf Seite {n} gefunden"),)),
    Sort(THUMBNAILS, 25, 20, 8, ((0, "404 from https://cdn.example/pictures/{n}.jpg"),)),
    Sort(MAINTENANCE, 4, 15, 0, ()),
    Sort(LOGS, 10, 30, 5, ((0, "no space left on device"),)),
    Sort(EXPORT, 10, 400, 35, ((2, "exit code 255: Host key verification failed"),)),
)  # fmt: skip
