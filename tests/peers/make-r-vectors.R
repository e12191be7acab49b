#!/usr/bin/Rscript
# make-r-vectors.R FILE: what R computes, for tests/app/test-statistics-peers.c.
#
# Needs Debian's r-base-core. Made with version 4.2.2; any later one should give the same to about 1e-9. One case a line:
# KIND, inputs, `=`, outputs, all numbers with 17 digits, NA for a missing cell. Inputs are drawn here with a fixed seed
# and rounded to four digits, so that both programs read the same numbers.

args <- commandArgs(trailingOnly = TRUE)
out <- file(args[1], "w")
options(warn = 2)
RNGversion("4.0.0")
set.seed(5)

number <- function(x) ifelse(is.na(x), "NA", sprintf("%.17g", x))
case <- function(kind, inputs, outputs) {
  writeLines(paste(kind, paste(number(unlist(inputs)), collapse = " "), "=",
                   paste(number(unlist(outputs)), collapse = " ")), out)
}
writeLines(sprintf("# made by make-r-vectors.R with R %s.%s", R.version$major, R.version$minor), out)

# --- Distributions ---
for (df in c(1, 2, 3, 4.5, 8, 12, 30, 100, 1000))
  for (t in c(-40, -3.2, -1, -0.01, 0.5, 2, 7.5))
    case("t-cdf", c(t, df), pt(t, df))
for (df in c(1, 2, 5, 8, 40, 400))
  for (p in c(1e-6, 0.00625, 0.025, 0.3, 0.6, 0.95, 0.9975))
    case("t-quantile", c(p, df), qt(p, df))
for (df1 in c(1, 2, 3, 7, 20))
  for (df2 in c(1, 2, 6, 9, 50))
    for (f in c(0.03, 0.8, 3, 14.5, 200))
      case("f-tail", c(f, df1, df2), pf(f, df1, df2, lower.tail = FALSE))
for (n in c(1, 7, 40, 1000, 20000))
  for (share in c(0, 0.1, 0.45, 0.5, 0.52, 0.9))
    for (p in c(0.05, 0.5))
      case("binomial-cdf", c(floor(share * n), n, p), pbinom(floor(share * n), n, p))
for (df in c(1, 2, 4, 8, 30, 200))
  for (ncp in c(0, 0.5, 2, 3.7, 6))
    for (t in c(0.7, 1.86, 2.306, 4.3))
      case("t-power", c(t, df, ncp), pt(t, df, ncp = ncp, lower.tail = FALSE))

# --- Means, quantiles, Holm ---
for (n in c(2, 3, 5, 17)) {
  x <- round(rnorm(n, 0.84, 0.01), 4)
  test <- t.test(x)
  case("estimate", c(n, x), c(mean(x), sd(x), test$conf.int))
  for (q in c(0, 0.25, 0.5, 0.95)) case("quantile", c(q, n, x), quantile(x, q, type = 7))
  p <- round(runif(n)^2, 4)
  case("holm", c(n, p), p.adjust(p, "holm"))
}

# --- The layout: lm() with variant and seed, whole and with holes; contrasts of every variant with the first ---
layout <- function(V, S, holes, sd = rep(0.004, V)) {
  y <- matrix(0.84 + rnorm(V, 0, 0.01), V, S) + matrix(rnorm(S, 0, 0.004), V, S, byrow = TRUE) +
    matrix(rnorm(V * S), V, S) * sd
  y <- round(y, 4)
  y[holes] <- NA
  y
}
table_of <- function(y) {
  d <- data.frame(y = as.vector(y), v = factor(row(y)), s = factor(col(y)))
  d[!is.na(d$y), ]
}
fit <- function(d) lm(y ~ droplevels(v) + droplevels(s), d)
spread <- function(y) { # each variant against the others: one F test from two fits
  full <- fit(table_of(y))
  p <- c()
  for (v in seq_len(nrow(y))) {
    if (sum(!is.na(y[v, ])) < 2) next
    rest <- fit(table_of(y[-v, , drop = FALSE]))
    df <- df.residual(rest)
    own <- df.residual(full) - df
    if (df == 0 || own == 0) next
    f <- ((deviance(full) - deviance(rest)) / own) / (deviance(rest) / df)
    upper <- pf(f, own, df, lower.tail = FALSE)
    p <- c(p, if (own > 1) 2 * min(upper, 1 - upper) else upper)
  }
  min(1, length(p) * min(p))
}
margin <- 0.01
pooled <- function(y) {
  d <- table_of(y)
  d$v <- droplevels(d$v)
  d$s <- droplevels(d$s)
  model <- lm(y ~ v + s, d)
  df <- df.residual(model)
  result <- c(df, deviance(model), spread(y))
  for (v in 2:nrow(y)) {
    row <- coef(summary(model))[paste0("v", v), ]
    ci95 <- confint(model, paste0("v", v), 0.95)
    ci90 <- confint(model, paste0("v", v), 0.90)
    d1 <- row["Estimate"]
    se <- row["Std. Error"]
    p_equal <- max(pt((d1 - margin) / se, df), pt(-(d1 + margin) / se, df))
    result <- c(result, d1, se, row["Pr(>|t|)"], p_equal, ci95, ci90)
  }
  case("pooled", c(nrow(y), ncol(y), t(y)), result)
}
pooled(layout(3, 2, c()))
pooled(layout(5, 3, c()))
pooled(layout(8, 10, c()))
pooled(layout(5, 3, c(7)))
pooled(layout(5, 4, c(1, 12, 18)))
pooled(layout(4, 6, c(2, 3, 5, 9, 24)))
pooled(layout(6, 5, c(), c(0.002, 0.002, 0.002, 0.03, 0.002, 0.002)))

# --- Paired: each comparison by its own differences ---
paired <- function(y) {
  result <- c()
  for (v in 2:nrow(y)) {
    ok <- !is.na(y[v, ]) & !is.na(y[1, ])
    a <- y[v, ok]
    b <- y[1, ok]
    t95 <- t.test(a, b, paired = TRUE)
    t90 <- t.test(a, b, paired = TRUE, conf.level = 0.90)
    low <- t.test(a, b, paired = TRUE, mu = -margin, alternative = "greater")$p.value
    high <- t.test(a, b, paired = TRUE, mu = margin, alternative = "less")$p.value
    result <- c(result, mean(a - b), t95$stderr, t95$p.value, max(low, high), t95$conf.int, t90$conf.int)
  }
  case("paired", c(nrow(y), ncol(y), t(y)), result)
}
paired(layout(4, 5, c(), c(0.001, 0.03, 0.001, 0.001)))
paired(layout(4, 6, c(3, 10), c(0.001, 0.001, 0.04, 0.001)))

# --- Two checkpoints ---
for (pair in list(c(0, 0), c(1, 0), c(3, 9), c(310, 250), c(1200, 1100), c(5, 60)))
  case("mcnemar", pair, if (sum(pair) == 0) 1 else binom.test(pair[1], sum(pair))$p.value)
for (n in c(6, 40)) { # AUC by wilcox.test's W, with ties
  score <- round(rnorm(n), 1)
  positive <- c(0, 1, rbinom(n - 2, 1, 0.4))
  w <- suppressWarnings(wilcox.test(score[positive == 1], score[positive == 0])$statistic)
  case("auc", c(n, rbind(score, positive)), w / (sum(positive) * sum(1 - positive)))
}
# The bootstrap of a difference of means of 0/1 outcomes, drawn by R: a wide tolerance, another generator.
n <- 400
first <- rbinom(n, 1, 0.8)
second <- ifelse(runif(n) < 0.85, first, rbinom(n, 1, 0.9))
draws <- replicate(20000, { i <- sample.int(n, n, TRUE); mean(second[i]) - mean(first[i]) })
case("bootstrap", c(n, rbind(first, second)), c(mean(second) - mean(first), sd(draws), quantile(draws, c(0.025, 0.975))))
# Power of a paired t test as R's power.t.test gives it, for the sentence on more seeds.
for (n in c(3, 6, 12))
  case("power", c(n, 0.01, 0.006), power.t.test(n = n, delta = 0.01, sd = 0.006, type = "paired", strict = FALSE)$power)
for (n in c(8, 60)) { # macro F1 from the table of answers against classes; a class that never occurs counts for nothing
  right <- sample.int(4, n, TRUE) - 1
  answer <- ifelse(runif(n) < 0.6, right, sample.int(6, n, TRUE) - 1)
  counts <- table(factor(answer, 0:5), factor(right, 0:5))
  both <- rowSums(counts) + colSums(counts)
  case("macro-f1", c(n, rbind(answer, right)), mean((2 * diag(counts) / both)[both > 0]))
}
close(out)
