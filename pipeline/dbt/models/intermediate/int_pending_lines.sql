-- Lines of the pending orders with what the catalogue says about their product. Read after the cut: order
-- lines, products and customers are committed before their order, so all that a pending order refers to is
-- there.
with lines as (
    select
        order_item_id,
        order_id,
        product_id,
        quantity,
        unit_price,
        discount_amount,
        line_amount
    from {{ ref('stg_order_items') }}
    where order_id >= {{ first_order_in(ref('int_pending_orders')) }}
)

select
    lines.order_item_id,
    lines.order_id,
    lines.product_id,
    lines.quantity,
    lines.unit_price,
    lines.discount_amount,
    lines.line_amount,
    orders.ordered_at,
    products.price as catalogue_price,
    products.introduced_at as product_introduced_at
from lines
inner join {{ ref('int_pending_orders') }} as orders
    on lines.order_id = orders.order_id
left join {{ ref('stg_products') }} as products
    on lines.product_id = products.product_id
