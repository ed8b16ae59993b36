"""The words by which questions ask for something that can be computed, in the languages that people type; units and months."""

from __future__ import annotations

from dataclasses import dataclass

from gork.text.language import word_set
from gork.text.numbers import COUNTED, KEYS


@dataclass(frozen=True, slots=True)
class Terms:
    """Words and phrases to look for in the words of a question; scripts without blanks between words are searched as they stand."""

    words: frozenset[str]
    phrases: tuple[str, ...]

    def within(self, words: frozenset[str], line: str) -> bool:
        """Whether one of them stands in a question: its words, and the same as a line with blanks around each."""
        return not self.words.isdisjoint(words) or any(phrase in line for phrase in self.phrases)


def is_unspaced(term: str) -> bool:
    """Whether a term is of a script that puts no blanks between words."""
    return ord(term[0]) > 0x2E80


def terms(table: str) -> Terms:
    """The terms of a table; `_` joins the words of a phrase.

    >>> terms("sum how_many").within(frozenset({"how", "many"}), " how many ")
    True
    """
    split = table.casefold().split()
    spaced = [term for term in split if not is_unspaced(term)]
    phrases = [f" {term.replace('_', ' ')} " for term in spaced if "_" in term]
    return Terms(frozenset(term for term in spaced if "_" not in term), (*phrases, *(term for term in split if is_unspaced(term))))


AMOUNT = terms(
    """how_many how_much how_old how_long how_far how_fast how_tall how_heavy how_often wieviel wieviele wie_viel wie_viele
    wie_vielen wie_oft wie_alt wie_lange wie_weit combien cuánto cuánta cuántos cuántas cuanto cuantos quanto quanta quanti
    quante quantos quantas hoeveel сколько いくら いくつ 何 多少 几 calculate compute total_number total_amount how_large
    how_wide how_deep how_high how_late wie_schnell wie_groß what_percent what_percentage what_fraction 몇 얼마"""
)
"""They ask for an amount."""
ASKING = terms(
    """what what's whats which calculate compute find determine solve evaluate simplify convert is are do was welche welcher
    ist qué cuál quel quelle qual = ? ？ は 等于"""
)
"""They ask for something."""
PERCENT = terms("% percent percentage procent prozent pourcentage porcentaje por_ciento pour_cent パーセント")
OPERATION = terms(
    """probability how_many_ways a_fraction primes fibonacci square_root sqrt cube_root squared cubed factorial gcd lcm hcf
    divisor divisible multiplied multiply divided divide subtract hypotenuse hex hexadecimal octal binary roman_numerals
    roman_numeral römisch römische modulo remainder median geteilt 割引 引き 割り勘 合計 平均 to_the_power_of
    compound_interest simple_interest log sin cos tan fakultät quadratwurzel wurzel racine_carrée raíz_cuadrada decimals
    add_up binär hexadezimal divisors prime_factor prime_factors prime_factorization factorize factorise permutation
    permutations combinations quotient reciprocal denominator logarithm ln exponent scientific_notation raised_to power_of
    compounded annual_interest primzahlen primfaktoren teiler ggt kgv racine raiz raíz radice puissance au_carré al_cuadrado
    elevado wortel 平方根 平方 余り 税込 打折 корень handshakes outfits decimal_places significant_figures square_of cube_of
    negative_of"""
)
"""Operations that are named for nothing else."""
CALCULATION = terms(
    """off discount rabatt remise descuento tip trinkgeld pourboire propina vat tax mwst mehrwertsteuer tva iva interest loan
    mortgage prime primes primzahl average mean_of the_mean mittelwert durchschnitt moyenne promedio media sum summe somme
    suma product half third quarter quarters double twice triple hälfte drittel viertel quadrat moitié tiers mitad tercio
    round simplify fraction area perimeter circumference volume radius diameter diagonal rectangle triangle circle cube
    probability chance chances odds dice coin deck ways combinations permutations ratio split share shared add take_away bmi
    mpg convert decimal standard_deviation variance power multiple multiples factors save recipe speed gross net brutto netto
    inflation entre profit margin markup commission increase decrease increased decreased raise growth roi payment payments
    installments deposit wage salary hourly overtime servings portions bill distance velocity density slope decimals
    arrangements depreciation consumption verbrauch half_of sum_of cuenta cambio réduction reducción sconto desconto korting
    bonus"""
)
"""Operations that are named for other things too, so that they count only with two numbers, or beside one ("half of 90")."""
RELATION = terms(
    """each every per total altogether together left remaining remain more less fewer than cost costs price pay pays paid
    change both equally rest je insgesamt zusammen chacun chaque cada needs need"""
)
"""They relate amounts that are stated to each other."""
PROPORTION = terms(
    """half twice double doubles doubled doubling triple triples thrice third thirds quarter quarters fifth hälfte drittel
    viertel doppelt moitié tiers mitad doble tercio 半分 倍 половина"""
)
INFIX = word_set(
    """plus minus times mal fois por per keer vezes moins menos meno più más mais mod modulo hoch по на плюс минус multiplied
    divided multiplié divisé geteilt multiplicado dividido entre diviso gedeeld 乘以 除以 乘 加 减 减去 かける 掛ける 割る
    足す 引く 分の 乗 умножить разделить"""
)
"""Between two numbers they are an operation."""
COMPARISON = terms(
    """larger bigger greater smaller largest smallest biggest greatest higher cheaper größer kleiner más_grande mayor
    plus_grand maggiore 大きい"""
)
SEQUENCE = terms("next sequence series continue nächste suivant siguiente")
SORTING = terms(
    """sort alphabetical alphabetically alphabetize sorted sortiere sortieren alphabetisch trier ordena ordenar
    alfabéticamente ordina descending ascending 並べ 排序 in_order order_from order_these order_the order_by ordered
    numerical_order chronological arrange_these arrange_the arrange_in arrange_from rank_these rank_the rank_by ordne_die
    ordne_diese sortier aufsteigend absteigend trie_ces trie_les range_par classe_par ordre_alphabétique de_menor_a_mayor
    de_mayor_a_menor orden_alfabético 昇順 降順 排列 отсортируй алфавиту"""
)
TEXT_WORK = terms(
    """palindrome palindrom palindromo anagram anagrams anagramm rearrange uppercase lowercase capitalize rot13 caesar
    duplicates vowels vowel consonants consonant letter letters characters character string digits buchstabe buchstaben
    zeichen vokale lettre lettres voyelles caractères letra letras vocales lettere reverse reversed backwards backward
    rückwärts umgekehrt dreh drehe à_l'envers al_revés invierte invertir inverse replace remove 文字 逆 букв rearranged
    lower_case upper_case capital_letters capitals ascii occurrences longest_word shortest_word word_count substring umdrehen
    umgedreht buchstabiere palindroma anagrama anagramme initials title_case vocal consonantes consonne voyelle vokal
    replaced removed parole_al_contrario"""
)
"""Work on a text that can only be the text that the question states."""
REVERSED = terms("backwards reversed rückwärts à_l'envers al_revés")
TEXT_PARTS = terms(
    """word words sentence sentences syllables times often occur occurs appear appears wörter wort mots palabras parole слов
    lines"""
)
"""Parts of a text, which can be computed when they are counted, measured or numbered."""
COUNTING = terms(
    """how_many how_often count number_of longest shortest first last second third fourth fifth every # wie_viele wie_viel
    wie_oft wieviele zähle combien compte cuántas cuántos cuenta quante сколько"""
)
WEEKDAYS = terms(
    """monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch donnerstag freitag samstag sonntag
    lundi mardi mercredi jeudi vendredi samedi dimanche lunes martes miércoles jueves viernes sábado domingo"""
)
TIME_ASKED = terms(
    """weekday weekdays wochentag day days week weeks month months date hours old age tag tage tagen wochen monate datum jour
    jours semaines mois día días semanas meses giorni dagen дней 日 曜日 天"""
)
"""They ask for a length of time, a day of the week or an age."""
HOLIDAYS = terms("christmas xmas new_year new_years halloween weihnachten silvester noël navidad")
UNTIL = terms("until till til left bis jusqu'à hasta faltan before")
MONTHS = word_set(
    """january february march april may june july august september october november december jan feb mar apr jun jul aug sep
    sept oct nov dec januar februar märz mai juni juli oktober dezember janvier février mars avril juin juillet août
    septembre octobre novembre décembre enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre
    diciembre"""
)
UNITS: dict[str, frozenset[str]] = {}
"""Units, each with what it can measure."""
for _line in (
    """length km kilometer kilometers kilometre kilometres kilomètres kilometern kilómetros m meter meters metre metres
    mètres metern metros cm centimeter centimeters centimetre centimetres mm millimeter millimeters mi mile miles meilen
    millas ft foot feet pies fuss inch inches zoll pulgadas yard yards メートル センチ マイル フィート インチ キロ chilometri
    miglia quilômetros км м см миль милях метров 公里 英里 厘米 英寸 米""",
    "speed mph kmh kph knots km mi m",
    "area acre acres hectare hectares hektar ha sqm sqft meters metres feet m2",
    """mass kg kilo kilos kilogram kilograms g gram grams gramm grammes gramos mg lb lbs pound pounds pfund libras oz ounce
    ounces stone ton tons tonnes キロ ポンド グラム オンス quilos grammi onzas кг г фунтов фунтах 公斤 磅""",
    """volume l liter liters litre litres litros ml milliliters dl cl cup cups tablespoon tablespoons tbsp teaspoon teaspoons
    tsp gallon gallons pint pints quart quarts oz floz litri galones tazas литров""",
    """time second seconds sec secs sekunden secondes segundos minute minutes min mins minuten minutos hour hours h hr hrs
    stunde stunden heures horas ore day days tag tage tagen jours días week weeks woche wochen semaines semanas month months
    monate mois meses year years jahre ans años decades fortnights fortnight ms milliseconds 時間 分 秒 日 uur uren dagen
    minuti secondi giorni часов минут секунд дней дня суток""",
    "temperature c celsius f fahrenheit kelvin 摄氏度 华氏度",
    "data bit bits byte bytes kb mb gb tb kilobytes megabytes gigabytes terabytes",
    "currency usd eur euro euros gbp dollar dollars yen jpy chf rupees inr",
    "pressure psi bar atm kpa",
    "energy joule joules kj kcal calories kwh wh",
):
    _dimension, *_names = _line.split()
    for _name in _names:
        UNITS[_name] = UNITS.get(_name, frozenset()) | {_dimension}
NUMBER_WORDS = (frozenset(COUNTED) | {word for word, key in KEYS.items() if key.isdecimal()} | {"dozen", "million", "thousand"}) - {"one"}
"""Words that state a number."""
NAMED_BY_NUMBER = word_set(
    """step chapter season episode part question problem page line version level grade type iphone galaxy model windows route
    section article phase figure top ps xbox iso http error port carbon omega catch area formula apollo python number"""
)
"""The number after one of these is a name."""
BEFORE_YEAR = MONTHS | word_set("in since from until to the and born before after by between year im seit von bis en de del desde , of")

PROSE = word_set(
    """write explain describe summarize summarise translate tips ideas recommend suggest compare why who where should plan
    outline improve draft compose rewrite rephrase paraphrase fix correct facts reasons best history help schreibe schreib
    erkläre nenne beschreibe warum wer wo übersetze écris explique donne décris traduis pourquoi qui escribe explica traduce
    quién dónde почему кто где напиши"""
)
"""A sentence that begins with one of these wishes for prose, or for a person, a place, a reason."""
PRONOUNS = word_set("who where why warum wer wo qui quién dónde pourquoi кто где")
MANNER = terms(
    """how_do how_can how_does how_is how_to how_2 how_did should_i can_i could_i give_me what_can what_should what_is_a
    what_is_an what_are_the mean_in pros_and_cons difference_between was_koche wie_kann wie_mache wie_werde comment
    cómo_puedo как 書いて 方法 提案 what_would happened how_come any_ideas advice feedback recommendation recommendations
    realistic reasonable itinerary empfehlen empfiehl was_tun que_faire qué_hago qué_hacer what_is_the_point what's_the_point
    best_way tell_me_about tell_me_a tell_me_something i_feel shorter_version おすすめ 推荐 怎么 如何"""
)
"""They ask for a way to do something or for advice."""
JUDGEMENT = terms("enough ok okay legal safe healthy normal worth dangerous problem fair better useful possible")
"""They ask for a judgement, where no amount is asked for."""
CODE_LANGUAGES = word_set(
    "python javascript typescript java sql excel regex bash css html golang php kotlin git docker kubectl leetcode linux js c++"
)
CODE_THINGS = word_set(
    """function program script query command code class method regex formula api unit_test funktion programm fonction función
    fizzbuzz one-liner hints"""
)
CODE_WISHES = word_set(
    """write implement complete create fix refactor explain schreib schreibe écris escribe generate debug convert add code
    function script"""
)
FORM = terms(
    """bullet bullets json csv table markdown numbered_list comma_separated one_word one_sentence two_sentences
    three_sentences exactly at_most upper_case lower_case words_or_less separated one_per_line"""
)
FACT = terms(
    """who whom whose when where which how_many how_much how_old how_tall how_far how_long how_deep capital population
    what_year wer wann wo wie_viele wie_hoch wie_viel qui quand combien où quién cuándo dónde cuántos chi quando quanti кто
    когда где сколько 何 几"""
)
